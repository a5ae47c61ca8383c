"""Small models are quickest on one thread, and threads that wait for each other on a busy machine are slowest."""

from __future__ import annotations

import lightgbm  # noqa: F401 - loaded, so that its threads are limited too
import torch
from threadpoolctl import threadpool_limits

torch.set_num_threads(1)
threadpool_limits(limits=1)
