"""Strategies of JSON values, numbers as they are written."""

from hypothesis import strategies as st

from support.reference import Number

texts = st.lists(
    st.one_of(
        st.sampled_from(["},{", "}\n,\n{", '"', "\\", '\\"', "{", "}]", "[", "\n", "\0", "é", "😀", "\u2028"]),
        st.text(),
    ),
    max_size=4,
).map("".join)


numbers = st.one_of(
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?\Z").map(Number),
    st.sampled_from(["-0", "-0.0", "1.10", "1E5", "1e400", "-1e400", "9" * 25, "9" * 400, str(2**63), str(2**64)]).map(
        Number
    ),
)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
