"""What a launch refuses before a kernel would read it as something else."""

import numpy as np
import pytest
from sparsereg.gpu.launch import MODULES, check_arguments, signature_of, source_of

N, P = 6, 4


def arguments(**changed):
    values = {
        "X": np.zeros((P, N), dtype=np.float32), "weights": np.ones(N), "means": np.zeros(P),
        "rests": np.zeros(P), "squares": np.zeros(P), "n": N,
    }  # fmt: skip
    return list({**values, **changed}.values())


def test_the_signature_is_read_from_the_source():
    signature = signature_of("spread_columns")
    assert signature.module == "passes"
    assert [parameter.name for parameter in signature.parameters] == [
        "X", "weights", "means", "rests", "squares", "n",
    ]  # fmt: skip
    assert [parameter.is_array for parameter in signature.parameters] == [True] * 5 + [False]


def test_every_kernel_of_every_file_has_a_signature():
    for module in MODULES:
        text = source_of(module, np.float64)
        names = [part.split("(")[0].split()[-1] for part in text.split('extern "C"')[1:]]
        cleaned = text.count('extern "C" __global__')
        assert cleaned == len(names) > 0


def test_right_arguments_pass_with_scalars_in_the_type_of_the_kernel():
    checked = check_arguments("spread_columns", np.float32, arguments())
    assert checked[-1].dtype == np.int64


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.zeros((P, N))}, "reads 'X' as a C-contiguous float32 array, but got a float64"),
        ({"weights": np.ones(2 * N)[::2]}, "got a strided float64 array"),
        ({"means": np.zeros(P, dtype=np.float32)}, "'means' as a C-contiguous float64"),
        ({"weights": None}, "got a NoneType"),
    ],
)
def test_wrong_arrays_are_refused(changed, message):
    with pytest.raises(TypeError, match=message):
        check_arguments("spread_columns", np.float32, arguments(**changed))


def test_a_wrong_number_of_arguments_is_refused():
    with pytest.raises(TypeError, match="takes 6 arguments, not 5"):
        check_arguments("spread_columns", np.float32, arguments()[:-1])


def test_arrays_of_another_device_are_refused():
    class Elsewhere(np.ndarray):
        class device:
            id = 1

    with pytest.raises(TypeError, match="runs on device 0, but 'X' is on device 1"):
        check_arguments(
            "spread_columns", np.float32, arguments(X=np.zeros((P, N), np.float32).view(Elsewhere)),
            device_id=0,
        )  # fmt: skip
