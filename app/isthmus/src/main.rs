//! The `isthmus` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    isthmus::cli::main(std::env::args_os())
}
