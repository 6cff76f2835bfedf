//! Which of how many processes this is, as launchers say it. Nothing asks for it unless the user does.

use std::ffi::OsString;

/// Which of how many processes, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// Which process.
    pub index: usize,
    /// Number of processes; Kubernetes does not say it.
    pub count: Option<usize>,
    /// The variable that said so.
    pub from: &'static str,
}

/// The rank that a launcher gave: torchrun, Open MPI, an indexed job of Kubernetes, Slurm. Within another one, the
/// launcher that started the process itself wins, so Slurm comes last.
///
/// # Errors
/// A variable is not a number, or does not fit the others.
pub fn rank(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Rank>, String> {
    let number = |name: &str| -> Result<Option<usize>, String> {
        let Some(value) = lookup(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let parsed = value.to_str().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| {
            let value = value.to_string_lossy();
            format!("{name} must be a number of at least 0, not {value:?}")
        })
    };
    for (index, count) in [
        ("RANK", "WORLD_SIZE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ] {
        // Either may stand there for another reason: both together are a launcher's.
        if let (Some(i), Some(n)) = (number(index)?, number(count)?) {
            return checked(i, n, index).map(Some);
        }
    }
    if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        let (count, from) = (None, "JOB_COMPLETION_INDEX");
        return Ok(Some(Rank { index, count, from }));
    }
    slurm(number)
}

/// Tasks of a job, jobs of an array, or both: then each job of the array has so many tasks.
fn slurm(number: impl Fn(&str) -> Result<Option<usize>, String>) -> Result<Option<Rank>, String> {
    let task = match (number("SLURM_PROCID")?, number("SLURM_NTASKS")?) {
        (Some(task), Some(tasks)) => Some(checked(task, tasks, "SLURM_PROCID")?),
        // A batch script that asks for no number of tasks is one.
        _ => None,
    };
    let Some(id) = number("SLURM_ARRAY_TASK_ID")? else {
        return Ok(task);
    };
    let from = "SLURM_ARRAY_TASK_ID";
    let wanted = |name: &str| format!("{from} is set, but {name} is not");
    let count =
        number("SLURM_ARRAY_TASK_COUNT")?.ok_or_else(|| wanted("SLURM_ARRAY_TASK_COUNT"))?;
    let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
    let last = number("SLURM_ARRAY_TASK_MAX")?;
    let gaps = "the array's numbers must have no gaps: give --shard i/N for some of them alone";
    if last.is_some_and(|last| last.checked_sub(first).map(|all| all / step + 1) != Some(count)) {
        return Err(gaps.into());
    }
    let ahead = id
        .checked_sub(first)
        .filter(|ahead| ahead % step == 0)
        .ok_or(gaps)?;
    let array = checked(ahead / step, count, from)?;
    let (task, tasks) = task.map_or((0, 1), |task| (task.index, task.count.unwrap_or(1)));
    let all = count.checked_mul(tasks).ok_or("the array is too large")?;
    checked(array.index * tasks + task, all, from).map(Some)
}

fn checked(index: usize, count: usize, from: &'static str) -> Result<Rank, String> {
    if index >= count {
        return Err(format!(
            "{from} says process {index} of {count}, counted from 0"
        ));
    }
    let count = Some(count);
    Ok(Rank { index, count, from })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<(usize, Option<usize>)>, String> {
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Ok(rank(find)?.map(|rank| (rank.index, rank.count)))
    }

    #[test]
    fn each_launcher_is_read_and_the_inner_one_wins() {
        let torchrun = [("RANK", "1"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")];
        let mpi = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "3")];
        let srun = [("SLURM_PROCID", "5"), ("SLURM_NTASKS", "6")];
        assert_eq!(read(&torchrun), Ok(Some((1, Some(4)))));
        assert_eq!(read(&mpi), Ok(Some((2, Some(3)))));
        assert_eq!(read(&srun), Ok(Some((5, Some(6)))));
        assert_eq!(read(&[("JOB_COMPLETION_INDEX", "7")]), Ok(Some((7, None))));
        let nested = [&srun[..], &torchrun].concat();
        assert_eq!(read(&nested), Ok(Some((1, Some(4)))));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("RANK", "3"), ("SLURM_NTASKS", "")]), Ok(None));
    }

    #[test]
    fn the_numbers_of_a_slurm_array_may_begin_anywhere_and_have_tasks() {
        let array = |id, count, min, max, step| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_STEP", step),
            ]
        };
        assert_eq!(
            read(&array("0", "4", "0", "3", "1")),
            Ok(Some((0, Some(4))))
        );
        assert_eq!(
            read(&array("4", "4", "1", "4", "1")),
            Ok(Some((3, Some(4))))
        );
        assert_eq!(
            read(&array("14", "3", "10", "14", "2")),
            Ok(Some((2, Some(3))))
        );
        let tasks = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2")];
        let both = [&array("3", "4", "0", "3", "1")[..], &tasks].concat();
        assert_eq!(read(&both), Ok(Some((7, Some(8)))));
        // --array=1,3,7
        assert!(
            read(&array("3", "3", "1", "7", "1"))
                .unwrap_err()
                .contains("gaps")
        );
        let alone = [("SLURM_ARRAY_TASK_ID", "3")];
        assert!(read(&alone).unwrap_err().contains("SLURM_ARRAY_TASK_COUNT"));
    }

    #[test]
    fn variables_that_make_no_sense_are_named() {
        let error = |variables: &[(&str, &str)]| read(variables).unwrap_err();
        assert!(error(&[("RANK", "x"), ("WORLD_SIZE", "4")]).starts_with("RANK must be a number"));
        assert!(error(&[("RANK", "4"), ("WORLD_SIZE", "4")]).contains("process 4 of 4"));
        assert!(error(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "0")]).contains("0 of 0"));
        assert!(error(&[("JOB_COMPLETION_INDEX", "-1")]).contains("JOB_COMPLETION_INDEX"));
    }
}
