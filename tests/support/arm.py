"""The kernel, compiled for a Raspberry Pi 4."""

from pathlib import Path

CPU, FEATURES = "cortex-a72", "+fp-armv8,+neon,+crc"
"""What LLVM finds on a Raspberry Pi 4."""


def compile_for_a_pi(folder: Path) -> None:
    """Leave in the folder what `count.object_code` makes on a Pi: kernel.o, kernel.s (its text) and name.

    LLVM is told wrong about the machine before numba asks it: so numba does all that it does on a Pi, its
    optimiser included. For a process of its own, where nothing has asked yet.
    """
    import llvmlite.binding as llvm

    class Features(dict[str, bool]):
        def flatten(self) -> str:
            return FEATURES

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.get_process_triple = lambda: "aarch64-unknown-linux-gnu"
    llvm.get_host_cpu_name = lambda: CPU
    llvm.get_host_cpu_features = Features
    emit_object = llvm.TargetMachine.emit_object

    def emit_both(machine: llvm.TargetMachine, module: llvm.ModuleRef) -> bytes:
        copy = llvm.parse_assembly(str(module))
        (folder / "kernel.s").write_text(machine.emit_assembly(copy))
        return bytes(emit_object(machine, module))

    llvm.TargetMachine.emit_object = emit_both

    from mpi_pi.kernel import count as kernel_count

    code, name = kernel_count.object_code()
    (folder / "kernel.o").write_bytes(code)
    (folder / "name").write_text(name)
