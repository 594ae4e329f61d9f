"""What the page of a study shows beside that of any results: what models learnt, why few bodies suffice, curves and losses."""
