//! Where the commands that write train.csv, valid.csv and test.csv may not write.

use std::path::Path;

use crate::failure::Failure;

/// Refuses a folder in which one of the tables to be written is one that was read.
pub(super) fn refuse_inputs(folder: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    for name in ["train.csv", "valid.csv", "test.csv"] {
        let Ok(output) = folder.join(name).canonicalize() else {
            continue;
        };
        let is_output = |input: &&&Path| input.canonicalize().is_ok_and(|input| input == output);
        if let Some(input) = inputs.iter().find(is_output) {
            let message = format!(
                "this would replace the table that is read: {}",
                input.display()
            );
            return Err(Failure::usage(message, "name another folder"));
        }
    }
    Ok(())
}
