"""Charge and multiplicity of the whole, in the words of the programs that write them."""

from pathlib import Path

import pytest

from bodyorder._checks import InputError
from bodyorder.structures import read_structures
from bodyorder.structures.reading.whole import stated_of_whole
from bodyorder.structures.stated import read_stated

GAUSSIAN = "%mem=1GB\n#p hf/sto-3g\n\nthree words 1 2\n\n{} {}\nHe 0.0 0.0 0.0\nH 0.0 0.0 0.9\n\n"
XML_TYPE = "<rc><c>   {}</c><c>{} </c><c>     1.00000000</c><c>{:15.8f}</c><c>  PAW_PBE H 15Jun2001                   </c></rc>\n"


def said(name, text):
    return stated_of_whole(text, name, Path("a file"))


@pytest.mark.parametrize(
    ("name", "text", "stated"),
    [
        ("gaussian-in", GAUSSIAN.format(-1, 2), {"charge": -1, "multiplicity": 2}),
        ("gaussian-in", GAUSSIAN.format("1", "1,1 1,0 1"), {"charge": 1, "multiplicity": 1}),
        ("gaussian-out", " Charge = -1 Multiplicity = 2\n" * 3, {"charge": -1, "multiplicity": 2}),
        (
            "gaussian-out",
            " Charge =  0 Multiplicity = 1 in supermolecule\n Charge =  1 Multiplicity = 1 in fragment      1.\n",
            {"charge": 0, "multiplicity": 1},
        ),
        (
            "orca-output",
            " Total Charge           Charge          ....    1\n Multiplicity           Mult            ....    3\n",
            {"charge": 1, "multiplicity": 3},
        ),
        (
            "gamess-us-out",
            " CHARGE OF MOLECULE                     =   -1\n SPIN MULTIPLICITY                      =    2\n",
            {"charge": -1, "multiplicity": 2},
        ),
        (
            "nwchem-out",
            "          Charge           :     1\n          Spin multiplicity:     2\n",
            {"charge": 1, "multiplicity": 2},
        ),
        ("espresso-in", "&system\n nat=2, tot_charge = +1.d0\n", {"charge": 1}),
        ("espresso-in", "&system\n tot_magnetization=2 ! tot_charge=1\n! tot_charge=1\n", {"unpaired": 2}),
        ("espresso-in", "&system\n tot_magnetization=-1\n", {}),  # not set
        ("cp2k-restart", " CHARGE  -1\n MULTIPLICITY  2\n", {"charge": -1, "multiplicity": 2}),
        ("cp2k-restart", " CHARGE  -8.476E-01\n", {}),  # of a force field
        ("turbomole", "$eht charge=1 unpaired=2\n", {"charge": 1, "unpaired": 2}),
        ("cjson", '{"properties": {"totalCharge": -1, "totalSpinMultiplicity": 2}}', {"charge": -1, "multiplicity": 2}),
        (
            "vasp-xml",
            '<parameters>\n <i name="NELECT">      9.00000000</i>\n' + XML_TYPE.format(1, "O", 6) + XML_TYPE.format(2, "H", 1),
            {"charge": -1},
        ),
        (
            "vasp-out",
            "   POMASS =   16.000; ZVAL   =    6.000    mass and valenz\n"
            "   POMASS =    1.000; ZVAL   =    1.000    mass and valenz\n"
            "   ions per type =               1   2\n   NELECT =       7.0000    total number of electrons\n",
            {"charge": 1},
        ),
        ("gen", "1 1\n", {}),
    ],
)  # fmt: skip
def test_what_programs_say_of_the_whole(name, text, stated):
    assert said(name, text) == stated


def test_two_charges_are_refused():
    with pytest.raises(InputError, match=r"must have one charge and multiplicity, those of a file have several"):
        said("gaussian-out", " Charge =  0 Multiplicity = 1\n Charge =  1 Multiplicity = 2\n")


def test_an_ion_is_never_read_as_neutral(tmp_path):
    """HeH⁺: it is not said which of the two has the charge, unless there is but one."""
    path = tmp_path / "a.com"
    path.write_text(GAUSSIAN.format(1, 1))
    with pytest.raises(InputError, match=r"must name the charge of each body .* its info has charge=1"):
        read_structures(path)
    path.write_text(GAUSSIAN.format(1, 2).replace("H 0.0 0.0 0.9\n", ""))
    (helium,) = read_structures(path)
    assert helium.get_initial_charges().tolist() == [1]
    assert read_stated(helium, "it").multiplicity == 2
