"use strict";
// what is printed is unfolded, and so is what an address points at
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
const unfold = () => { document.getElementById(location.hash.slice(1))?.closest("details")?.setAttribute("open", ""); };
addEventListener("hashchange", unfold);
unfold();
