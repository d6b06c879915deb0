"""Operations on arrays against NumPy's own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from streaming.core.arrays import distinct


@given(st.lists(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_distinct_is_unique_with_the_first_index(values: list[int]) -> None:
    array = np.array(values, np.int64)
    found, first = distinct(array)
    expected, expected_first = np.unique(array, return_index=True)
    assert_array_equal(found, expected)
    assert_array_equal(first, expected_first)


def test_reading_a_dataset_imports_no_masked_arrays(tmp_path: object) -> None:
    code = """
import sys
import numpy
by_itself = "numpy.ma" in sys.modules  # before NumPy 2
from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
out = sys.argv[1]
with MDSWriter(out=out, columns={"x": "int"}) as writer:
    for i in range(100):
        writer.write({"x": i})
for batch in StreamingDataLoader(StreamingDataset(local=out, batch_size=10, shuffle=True), batch_size=10):
    pass
print(by_itself or "numpy.ma" not in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path) + "/data"], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "True"
