//! Flags in, exit code out.

fn main() -> std::process::ExitCode {
    snug::cli::main(std::env::args_os().skip(1))
}
