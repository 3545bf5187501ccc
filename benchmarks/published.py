"""Numbers that others have published, each table with its source: not measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A table as its source has it.

    Args:
        title: What was measured, and how.
        source: Where it is printed.
        columns: What the values are.
        rows: Values by method, as they are printed.
    """

    title: str
    source: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


PUBLISHED = [
    Published(
        "Bicubic x4: PSNR (dB) / SSIM on Y, 4 pixels of border left out",
        "the usual tables, e.g. Lim et al. 2017 (EDSR), arXiv 1707.02921",
        ("Set5", "Set14"),
        {"bicubic": ("28.42 / 0.8104", "26.00 / 0.7027")},
    ),
    Published(
        "Isotropic blur x4 (`--degrade dasr-iso`): PSNR (dB) on Y by kernel width",
        "Wang et al. 2021 (DASR), arXiv 2104.00416, table 2",
        ("Set5: 0", "1.2", "2.4", "3.6", "Set14: 0", "1.2", "2.4", "3.6"),
        {
            "bicubic": ("28.42", "27.30", "25.12", "23.40", "-", "-", "-", "-"),
            "IKC": ("32.00", "31.77", "30.56", "29.23", "-", "-", "-", "-"),
            "DASR": ("31.99", "31.92", "31.75", "30.59", "28.50", "28.45", "28.28", "27.45"),
        },
    ),
    Published(
        "Gaussian8 x4 (`--degrade gaussian8`): PSNR (dB) on Y",
        "Luo et al. 2021 (DANv2), End-to-end alternating optimization for blind super resolution",
        ("Set5", "Set14", "BSD100", "Urban100"),
        {
            "IKC": ("31.67", "28.31", "27.37", "25.33"),
            "DANv2": ("32.00", "28.50", "27.56", "25.94"),
        },
    ),
    Published(
        "NTIRE 2020 real-world SR, track 1, test",
        "Lugmayr et al. 2020, arXiv 2005.01996",
        ("PSNR (dB)", "SSIM", "LPIPS"),
        {"bicubic": ("25.48", "0.680", "0.612"), "Impressionism": ("24.67", "0.683", "0.232")},
    ),
    Published(
        "RealSR x4, crops of StableSR's protocol",
        "Wang et al. 2023 (StableSR), arXiv 2305.07015",
        ("PSNR (dB)", "SSIM", "LPIPS", "NIQE"),
        {
            "BSRGAN": ("26.39", "0.765", "0.267", "5.66"),
            "Real-ESRGAN": ("25.69", "0.762", "0.273", "5.83"),
        },
    ),
    Published(
        "RealSR-Zero: NIQE and mean opinion score, lower is better",
        "Shi et al. 2022 (Cria-CL), arXiv 2207.12767",
        ("NIQE", "MOS"),
        {
            "ESRGAN": ("6.066", "4.275"),
            "Impressionism": ("4.961", "3.455"),
            "DASR": ("5.838", "4.470"),
            "Real-ESRGAN": ("4.575", "3.245"),
            "Cria-CL": ("4.409", "3.050"),
        },
    ),
]


def as_markdown(table: Published) -> str:
    """A table with its title and source."""
    lines = [f"**{table.title}**, as published: {table.source}", ""]
    lines += ["| | " + " | ".join(table.columns) + " |", "|---|" + "---|" * len(table.columns)]
    lines += [f"| {method} | " + " | ".join(values) + " |" for method, values in table.rows.items()]
    return "\n".join(lines)
