"""Small networks are quickest on one thread, and two that wait for each other on a busy machine are slowest."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
