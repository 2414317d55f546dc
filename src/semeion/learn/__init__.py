"""Networks learn here; the only room that imports torch."""

import os

# Threads without work sleep instead of spinning: on a shared machine a spinning thread takes the core from the one that
# all others wait for (with one busy neighbour, two threads then learn from several times fewer images a second than
# one). OpenMP reads this once, when torch is loaded, so it is set here, before any import of torch. It changes speed
# and no result; a value that the user has set stands.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A fixed workspace is what makes cuBLAS repeatable (CUDA documentation, cuBLAS, "Results reproducibility"); without it
# torch refuses to train deterministically on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
