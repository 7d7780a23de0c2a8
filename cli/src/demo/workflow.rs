//! Which jobs the demo runs: the built-in workflow, made for the number that was asked for, or a person's own file.

use std::{fmt::Write as _, path::Path};

use fleet::labels::LabelSet;
use sim::workflow::Workflow;

use crate::failure::Failure;

/// Labels of the demo's runners.
pub const LABELS: [&str; 5] = ["self-hosted", "linux", "x64", "arm64", "demo"];

/// The built-in workflow, as often as it takes for `jobs` jobs: a workflow has a limited number of them.
pub(crate) fn built_in(jobs: u32) -> Result<Vec<Workflow>, Failure> {
    let mut left = jobs;
    let mut runs = Vec::new();
    while left > 0 {
        let now = left.min(JOBS_PER_RUN);
        left -= now;
        let text = text(now);
        runs.push(Workflow::parse(&text).map_err(|error| Failure::failed(format!("built-in workflow: {error}")))?);
    }
    Ok(runs)
}

/// A person's workflow.
pub(crate) fn from_file(path: &Path) -> Result<Vec<Workflow>, Failure> {
    let workflow =
        Workflow::load(path).map_err(|error| Failure::usage(format!("workflow {}: {error}", path.display())))?;
    check(&workflow).map_err(|what| Failure::usage(format!("workflow {}: {what}", path.display())))?;
    Ok(vec![workflow])
}

/// A job that no runner of the demo may be given would wait for ever.
fn check(workflow: &Workflow) -> Result<(), String> {
    let ours = LabelSet::parse(LABELS).map_err(|bad| bad.to_string())?;
    for job in workflow.jobs() {
        let wanted = LabelSet::parse(&job.runs_on).map_err(|bad| format!("job `{}`: {bad}", job.name))?;
        let missing = ours.missing(&wanted);
        if !missing.is_empty() || !wanted.contains(REQUIRED) {
            return Err(format!(
                "job `{}` asks for `{wanted}`, the demo's runners have {}: write `runs-on: [{REQUIRED}, linux]`",
                job.name,
                LABELS.join(", ")
            ));
        }
    }
    Ok(())
}

/// From 5 jobs on there is one of each kind; fewer are plain.
fn text(jobs: u32) -> String {
    let mut text = HEAD.to_owned();
    let special = if jobs >= SPECIAL_FROM { SPECIAL_JOBS } else { 0 };
    // Writing to a String cannot fail.
    let _ = write!(text, "{BUILD}        part: [");
    for part in 1..=jobs - special {
        let _ = write!(text, "{}{part}", if part > 1 { ", " } else { "" });
    }
    text.push_str("]\n");
    text.push_str(BUILD_STEPS);
    if special > 0 {
        text.push_str(SPECIAL);
    }
    text
}

const HEAD: &str = "name: demo
on: push
env:
  GREETING: hello
defaults:
  run:
    shell: bash
jobs:
";

const BUILD: &str = "  build:
    runs-on: [self-hosted, linux]
    strategy:
      fail-fast: false
      matrix:
";

const BUILD_STEPS: &str = "    steps:
      - uses: actions/checkout@v5
      - name: Compile
        run: |
          echo \"$GREETING from part ${{ matrix.part }} on $RUNNER_NAME\"
          sleep $(( ${{ matrix.part }} % 2 )).$(( 4 + ${{ matrix.part }} % 5 ))
      - name: Pack
        run: seq 1 2000 | sha256sum > part.txt && test -s part.txt
";

/// A step that may fail; a job with needs and outputs; one that runs whatever happened.
const SPECIAL: &str = "  lint:
    runs-on: self-hosted
    steps:
      - name: May fail
        continue-on-error: true
        run: exit 3
      - name: Goes on
        run: echo linted
  package:
    needs: build
    runs-on: [self-hosted, linux]
    outputs:
      size: ${{ steps.pack.outputs.size }}
    steps:
      - id: pack
        run: echo \"size=42\" >> \"$GITHUB_OUTPUT\"
  report:
    needs: [lint, package]
    if: always()
    runs-on: [self-hosted, demo]
    steps:
      - name: Report
        run: |
          echo 'package is ${{ needs.package.result }}, size ${{ needs.package.outputs.size }}'
          test '${{ needs.package.outputs.size }}' = 42
      - name: Always
        if: always()
        run: echo the end
";

/// Jobs of [`SPECIAL`].
const SPECIAL_JOBS: u32 = 3;

/// From so many jobs on, the special ones are among them.
const SPECIAL_FROM: u32 = 5;

/// A matrix has at most 256 jobs (GitHub's limit).
const JOBS_PER_RUN: u32 = 200;

/// Without it a job is GitHub's own runners'.
const REQUIRED: &str = "self-hosted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_workflow_has_as_many_jobs_as_asked_for() {
        for jobs in [1, 2, 4, 5, 12, 200, 201, 450] {
            let runs = built_in(jobs).unwrap();
            assert_eq!(runs.iter().map(|run| run.jobs().len()).sum::<usize>(), jobs as usize, "{jobs}");
            runs.iter().for_each(|run| check(run).unwrap());
        }
    }

    #[test]
    fn a_job_that_nobody_could_run_is_refused_with_advice() {
        let file = |labels: &str| format!("jobs: {{a: {{runs-on: {labels}, steps: [{{run: 'true'}}]}}}}");
        let said = |labels: &str| check(&Workflow::parse(&file(labels)).unwrap()).unwrap_err();
        assert!(said("ubuntu-latest").contains("write `runs-on: [self-hosted, linux]`"));
        assert!(said("[self-hosted, gpu]").contains("asks for `gpu,self-hosted`"));
        assert!(said("[linux]").contains("asks for `linux`"));
    }
}
