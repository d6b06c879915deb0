"""Other weights while training goes on: from when on (``reweighting``), the same on all ranks (``agreement``)."""
