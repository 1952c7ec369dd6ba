//! Binary: crypto provider, arguments, exit code.

use std::process::ExitCode;

use metricrule::cli::Cli;

fn main() -> ExitCode {
    Cli::run()
}
