"""From a plan to an engine: through TensorRT's Python API on a board, or as the equal trtexec command anywhere."""
