"""What Linux shows of a Jetson and of a laptop in files, written below a folder."""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu"


def write(root: Path, files: dict[str, str]) -> Path:
    """Files below a root, their folders made."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def make_jetson(root: Path) -> Path:
    """An Orin Nano at 15 W, idle: VDD_IN is all of the module, and the others are parts of it."""
    monitor = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    rails = (("VDD_IN", 5000, 1000), ("VDD_CPU_GPU_CV", 5000, 300), ("VDD_SOC", 5000, 200))
    return write(
        root,
        {
            "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n",
            "var/lib/nvpmodel/status": "pmode:0000",
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 62.50\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n\n"
            "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n",
            "proc/meminfo": "MemTotal:        7802752 kB\nMemAvailable:    5000000 kB\n",
            "proc/loadavg": "0.15 0.10 0.05 1/400 1234\n",
            "proc/stat": "cpu  1000 0 500 90000 100 10 5 0 0 0\ncpu0 500 0 250 45000 50 5 2 0 0 0\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "schedutil\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "schedutil\n",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "729600\n",
            "sys/class/thermal/thermal_zone0/temp": "48500\n",
            "sys/class/thermal/thermal_zone1/temp": "-256000\n",  # of a part that is switched off
            "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
            "sys/class/thermal/cooling_device0/cur_state": "0\n",
            "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
            "sys/class/thermal/cooling_device1/cur_state": "2\n",
            "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
            **{
                f"{monitor}/{kind}{index}_{what}": f"{value}\n"
                for index, (label, volts, amperes) in enumerate(rails, 1)
                for kind, what, value in (
                    ("in", "label", label), ("in", "input", volts), ("curr", "input", amperes)
                )
            },
            f"{monitor}/in7_label": "sum of shunt voltages\n",
        },
    )  # fmt: skip


def make_laptop(root: Path) -> Path:
    """A laptop with a CPU by Intel and a GPU by NVIDIA; its governor is `powersave`, as usual."""
    rapl = "sys/class/powercap"
    return write(
        root,
        {
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\n',
            "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: 13th Gen Intel(R) Core(TM) i7\n"
            "cpu MHz\t\t: 2200.000\n\nprocessor\t: 1\nmodel name\t: another\ncpu MHz\t\t: 800.000\n",
            "proc/meminfo": "MemTotal:       16000000 kB\n",
            "proc/loadavg": "3.50 2.00 1.00 4/800 4321\n",
            "proc/stat": "cpu  10000 50 5000 900000 1000 0 100 0 0 0\n",
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA GeForce RTX 4060\nIRQ: 1\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "12\n",
            f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "40\n",
            "sys/class/hwmon/hwmon0/temp1_input": "61000\n",
            "sys/class/hwmon/hwmon1/temp1_input": "strange\n",
            "sys/class/thermal/cooling_device0/type": "intel_powerclamp\n",
            "sys/class/thermal/cooling_device0/cur_state": "-1\n",
            f"{rapl}/intel-rapl:0/name": "package-0\n",
            f"{rapl}/intel-rapl:0/energy_uj": "1000000\n",
            f"{rapl}/intel-rapl:0/max_energy_range_uj": "262143328850\n",
            f"{rapl}/intel-rapl:0:0/name": "core\n",
            f"{rapl}/intel-rapl:0:0/energy_uj": "600000\n",
            f"{rapl}/intel-rapl:1/name": "psys\n",
            f"{rapl}/intel-rapl:1/energy_uj": "9000000\n",
        },
    )
