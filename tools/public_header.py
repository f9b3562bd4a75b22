#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""public_header.py OUT P2P_H ERR_H ERR_DEF: the public header as it is installed, with the error codes inlined."""
import re
import sys


def codes(err_def):
    """The rows of the table as enumerators, each with its text."""
    rows = re.findall(r'^LP2P_ERR\((\w+), (-?\d+), (\w+), "([^"]*)"\)', err_def, re.M)
    if not rows:
        sys.exit("public_header.py: no rows in err.def")
    return "\n".join(f"    LP2P_{name} = {code}, /* {text} */" for name, code, _, text in rows)


def errors(err_h, err_def):
    """err.h without its guard and comment at the top, the X-macro written out."""
    body = re.search(r"#define LP2P_BASE_ERR_H\n(.*)#endif\s*$", err_h, re.S).group(1)
    return re.sub(r"#define LP2P_ERR\(.*?#undef LP2P_ERR", lambda _: codes(err_def).strip("\n"), body, flags=re.S).strip("\n")


def main():
    out, p2p_h, err_h, err_def = sys.argv[1:]
    text, table, rows = (open(name, encoding="utf-8").read() for name in (p2p_h, err_h, err_def))
    include = '#include "base/err.h"\n'
    opening = '#ifdef __cplusplus\nextern "C" {\n#endif\n'
    if include not in text or opening not in text:
        sys.exit("public_header.py: p2p.h is not as expected")
    text = text.replace(include + "\n", "").replace(opening, opening + "\n" + errors(table, rows) + "\n", 1)
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
