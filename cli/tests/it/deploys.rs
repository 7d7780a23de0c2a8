//! Deployments that do not go well, each with the message that a person reads: what it was, and what to do.

use std::{fs, io::Write as _, process::Stdio};

use tempfile::TempDir;

use crate::{
    bench::{Ran, program, ran, write},
    scripted::{OURS, Script, Scripted},
};

const CONFIG: &str = "stage = \"dev\"\n[owners.acme]\n[aws]\nregion = \"eu-west-1\"\nimage = \"ghcr.io/acme/runner:1\"\n[[classes]]\nname = \"small\"\n\
                      labels = [\"self-hosted\", \"linux\"]\n";

/// A folder with a configuration and code for the functions, and an AWS.
struct Place {
    folder: TempDir,
    aws: Scripted,
}

impl Place {
    fn with(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("self-runners.toml"), CONFIG);
        let place = Self { folder, aws: Scripted::play(script) };
        place.make_code();
        place
    }

    /// What `deploy` wants of code: names, sums, and nothing that it looks into.
    fn make_code(&self) {
        let dir = self.folder.path().join("code");
        fs::create_dir(&dir).unwrap();
        let names = ["WebhookHandlerGHA", "ScalerHandler", "SweepHandler", "AgentHandler", "HelloHandler"];
        let sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        let mut sums = String::new();
        for name in names {
            fs::write(dir.join(format!("{name}.zip")), "foo").unwrap();
            sums += &format!("{sum}  {name}.zip\n");
        }
        fs::write(dir.join("SHA256SUMS"), sums).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = program();
        command.args(args).args(["--endpoint-url", &self.aws.url]).current_dir(self.folder.path());
        command
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "key")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        ran(command.output().unwrap())
    }

    fn deploy(&self) -> Ran {
        self.run(&["deploy", "--yes", "--artifacts", "code"])
    }
}

fn standing(description: &str, status: &'static str) -> Script {
    Script {
        stack: Some((description.to_owned(), status)),
        becomes: "CREATE_COMPLETE",
        quota: 100.0,
        ..Script::default()
    }
}

fn fresh(becomes: &'static str, events: &[[&'static str; 4]]) -> Script {
    Script { becomes, events: events.to_vec(), quota: 100.0, ..Script::default() }
}

fn refusing(call: &'static str, code: &'static str, message: &'static str) -> Script {
    Script { refused: [(call, [code, message])].into(), ..fresh("CREATE_COMPLETE", &[]) }
}

#[test]
fn the_first_cause_of_a_failed_creation_is_told_and_the_next_step() {
    let place = Place::with(fresh(
        "ROLLBACK_COMPLETE",
        &[
            ["Vpc", "AWS::EC2::VPC", "CREATE_COMPLETE", ""],
            ["Queue", "AWS::SQS::Queue", "CREATE_FAILED", "Resource creation cancelled"],
            ["RunnersTable", "AWS::DynamoDB::Table", "CREATE_FAILED", "self-runners-dev already exists in stack other"],
            [
                "self-runners-dev",
                "AWS::CloudFormation::Stack",
                "ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed",
            ],
        ],
    ));
    let told = place.deploy();
    let cause = "The first cause: RunnersTable (AWS::DynamoDB::Table): self-runners-dev already exists in stack other";
    told.failed(1, &["ROLLBACK_COMPLETE", cause, "after the next `deploy` or `destroy`"]);
    assert!(told.out.contains("CREATE_COMPLETE") && told.out.contains("Vpc"), "{told:?}");
}

#[test]
fn a_permission_that_cloudformation_misses_is_named() {
    let reason = "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: iam:CreateRole on resource: r";
    let place = Place::with(fresh("ROLLBACK_COMPLETE", &[["ScalerRole", "AWS::IAM::Role", "CREATE_FAILED", reason]]));
    place.deploy().failed(1, &["ScalerRole (AWS::IAM::Role)", "iam:CreateRole"]);
}

#[test]
fn remains_of_a_failed_creation_are_taken_away_and_it_is_begun_anew() {
    let place = Place::with(standing(OURS, "ROLLBACK_COMPLETE"));
    let told = place.deploy();
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.out.contains("the first deployment failed (ROLLBACK_COMPLETE); its remains are taken away"),
        "{told:?}"
    );
    assert_eq!(place.aws.steps(), ["DeleteStack", "CreateChangeSet", "bucket", "upload", "ExecuteChangeSet"]);
}

#[test]
fn a_failed_rollback_waits_for_a_person() {
    let place = Place::with(standing(OURS, "UPDATE_ROLLBACK_FAILED"));
    place
        .deploy()
        .failed(1, &["stuck (UPDATE_ROLLBACK_FAILED)", "continue-update-rollback --stack-name self-runners-dev"]);
    assert_eq!(place.aws.done(), [] as [&str; 0]);
}

#[test]
fn what_is_under_way_is_waited_for() {
    let place = Place::with(standing(OURS, "UPDATE_IN_PROGRESS"));
    place.deploy().failed(1, &["under way at self-runners-dev (UPDATE_IN_PROGRESS)"]);
}

/// Before, it was told that an output is missing.
#[test]
fn a_stage_that_is_just_made_is_waited_for() {
    let place = Place::with(standing(OURS, "CREATE_IN_PROGRESS"));
    for command in [&["status"][..], &["drain"], &["jobs"], &["logs", "ScalerHandler"]] {
        let words = ["self-runners-dev is CREATE_IN_PROGRESS: wait until that has ended"];
        place.run(&[command, &["--stage", "dev"]].concat()).failed(1, &words);
    }
    let told = place.run(&["doctor"]);
    assert!(told.out.contains("?     stack        self-runners-dev is CREATE_IN_PROGRESS"), "{told:?}");
}

/// Whoever only looks, or says no, has changed nothing.
#[test]
fn what_is_only_shown_makes_no_bucket_and_sends_no_code() {
    let place = Place::with(fresh("CREATE_COMPLETE", &[]));
    let told = place.run(&["deploy", "--dry-run", "--artifacts", "code"]);
    assert!(told.code == 0 && told.out.contains("nothing was done to self-runners-dev"), "{told:?}");
    assert_eq!(place.aws.steps(), ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]);
}

/// Two stages cannot answer at one name.
#[test]
fn the_domain_of_the_files_own_stage_is_not_taken_for_another() {
    let place = Place::with(fresh("CREATE_COMPLETE", &[]));
    let domain = "[aws.domain]\nname = \"ci.example.com\"\nhosted_zone = \"Z1\"\n";
    write(&place.folder.path().join("self-runners.toml"), &format!("{CONFIG}{domain}"));
    let told = place.run(&["deploy", "--stage", "qa", "--yes", "--artifacts", "code"]);
    told.failed(2, &["the domain ci.example.com in the file is stage dev's", "SELF_RUNNERS_AWS_DOMAIN_NAME"]);
    assert_eq!(place.aws.done(), [] as [&str; 0]);
    assert_eq!(place.deploy().code, 0);
}

#[test]
fn secrets_that_can_be_none_are_refused_before_anybody_is_asked() {
    let place = Place::with(fresh("CREATE_COMPLETE", &[]));
    let set = |name: &str, value: &str| {
        let mut command = program();
        command.args(["secrets", "set", name, "--endpoint-url", &place.aws.url]).current_dir(place.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have heard enough before the end.
        let _heard = child.stdin.take().unwrap().write_all(value.as_bytes());
        ran(child.wait_with_output().unwrap())
    };
    for (name, value, words) in [
        ("GITHUB_API_TOKEN", "x", "is longer"),
        ("GITHUB_API_TOKEN", "ghp_hünter2secret", "letters, digits and `_` only"),
        ("GITHUB_WEBHOOK_SECRET", "hunter2", "at least 16 characters"),
        ("GITHUB_WEBHOOK_SECRET", &"hunter2".repeat(100_000), "more than 60000 bytes"),
    ] {
        let told = set(name, value);
        assert!(!format!("{told:?}").contains("nter2"), "{told:?}");
        told.failed(2, &[words]);
    }
    assert_eq!(place.aws.done(), [] as [&str; 0]);
}

/// A stage that is half gone may have runners at work: it is emptied by `destroy`.
#[test]
fn a_destroy_that_did_not_end_is_ended_first() {
    let place = Place::with(standing(OURS, "DELETE_FAILED"));
    place.deploy().failed(1, &["an earlier `destroy` did not end (DELETE_FAILED)", "destroy --stage dev` again"]);
    assert_eq!(place.aws.done(), [] as [&str; 0]);
}

/// It works on, and so do its runners.
#[test]
fn a_stuck_or_half_deleted_stage_is_not_destroyed_while_jobs_run() {
    for status in ["UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"] {
        let place = Place::with(Script { runs_a_task: true, ..standing(OURS, status) });
        place.run(&["destroy", "--yes", "--wait", "0"]).failed(1, &["1 runner still there", "--force"]);
        assert!(!place.aws.done().contains(&"DeleteStack".to_owned()), "{:?}", place.aws.done());
    }
}

/// The SDK's own words for that show the whole request.
#[test]
fn an_endpoint_that_is_no_url_is_told_and_the_secret_is_not() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("self-runners.toml"), CONFIG);
    for endpoint in ["localhost:4566", "", "ftp://x"] {
        for by_flag in [true, false] {
            let mut command = program();
            command.args(["secrets", "set", "GITHUB_API_TOKEN"]).current_dir(folder.path());
            command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key");
            if by_flag {
                command.args(["--endpoint-url", endpoint]);
            } else {
                command.env("AWS_ENDPOINT_URL", endpoint);
            }
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.env("AWS_EC2_METADATA_DISABLED", "true").spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"ghp_topsecret").unwrap();
            let told = ran(child.wait_with_output().unwrap());
            assert!(!told.err.contains("ghp_topsecret") && !told.out.contains("ghp_topsecret"), "{told:?}");
            if by_flag || !endpoint.is_empty() {
                told.failed(2, &["write http:// or https://"]);
            }
        }
    }
}

/// It would be changed into ours, or deleted.
#[test]
fn somebody_elses_stack_of_that_name_is_not_touched() {
    for status in ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"] {
        let place = Place::with(standing("Payroll", status));
        let words = ["self-runners-dev is taken by a stack of somebody else's (Payroll)", "another name"];
        place.deploy().failed(1, &words);
        place.run(&["deploy", "--dry-run", "--artifacts", "code"]).failed(1, &words);
        place.run(&["destroy", "--yes", "--force"]).failed(1, &words);
        place.run(&["status", "--stage", "dev"]).failed(1, &words);
        assert_eq!(place.aws.done(), [] as [&str; 0]);
    }
}

/// A change set of a stack that is not there yet leaves one that bears nothing but its name.
#[test]
fn what_somebody_else_proposed_is_not_touched_and_what_we_left_is_taken_up() {
    let proposed = |name| Script { proposals: vec![name], ..standing("", "REVIEW_IN_PROGRESS") };
    let place = Place::with(proposed("payroll-first"));
    place.deploy().failed(1, &["self-runners-dev is taken by a stack of somebody else's (it has no description)"]);
    assert_eq!(place.aws.done(), [] as [&str; 0]);
    let place = Place::with(proposed("self-runners-0123456789abcdef"));
    let told = place.deploy();
    assert_eq!(told.code, 0, "{told:?}");
}

/// CloudFormation would find out in the middle of it.
#[test]
fn what_cannot_be_made_anew_under_its_name_is_refused_before_anything_is_done() {
    let script = Script { replaces: Some("AWS::ECR::Repository"), ..standing(OURS, "CREATE_COMPLETE") };
    let place = Place::with(script);
    place.deploy().failed(1, &["It would be made anew under the name it has", "destroy --stage dev"]);
    assert_eq!(place.aws.steps(), ["CreateChangeSet", "DeleteChangeSet"]);
    let script = Script { replaces: Some("AWS::EC2::SecurityGroup"), ..standing(OURS, "CREATE_COMPLETE") };
    assert_eq!(Place::with(script).deploy().code, 0);
}

#[test]
fn the_first_cluster_of_an_account_is_tried_again() {
    let reason = "Unable to assume the service linked role. Please verify that the ECS service linked role exists.";
    let event = ["Cluster", "AWS::ECS::Cluster", "CREATE_FAILED", reason];
    Place::with(fresh("ROLLBACK_COMPLETE", &[event])).deploy().failed(1, &["Cluster", "run this again in a minute"]);
}

#[test]
fn credentials_that_aws_refuses_are_told() {
    let place = Place::with(refusing("GetCallerIdentity", "InvalidClientTokenId", "The security token is invalid"));
    place.deploy().failed(1, &["AWS does not accept our credentials (The security token is invalid)", "log in again"]);
    let expired = Place::with(refusing("GetCallerIdentity", "ExpiredToken", "The token is expired"));
    expired.deploy().failed(1, &["log in again, and look at the clock"]);
}

#[test]
fn a_permission_of_ours_that_is_missing_is_named() {
    let message =
        "User: arn:aws:iam::111122223333:user/dev is not authorized to perform: cloudformation:CreateChangeSet";
    let place = Place::with(refusing("CreateChangeSet", "AccessDenied", message));
    place.deploy().failed(1, &["the permission cloudformation:CreateChangeSet is missing"]);
    let place = Place::with(refusing("PUT bucket", "AccessDenied", "Access Denied"));
    place.deploy().failed(1, &["the permission s3:CreateBucket is missing"]);
}

#[test]
fn an_image_that_is_not_there_is_told_with_where_it_is_missing() {
    for (code, words) in [
        ("ImageNotFoundException", "FAIL  image        team/runner has no image 7: push it"),
        ("RepositoryNotFoundException", "there is no repository team/runner in account 111122223333 and eu-west-1"),
    ] {
        let place = Place::with(refusing("DescribeImages", code, "it does not exist"));
        let uri = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/runner:7";
        write(&place.folder.path().join("self-runners.toml"), &CONFIG.replace("ghcr.io/acme/runner:1", uri));
        let told = place.run(&["doctor"]);
        assert!(told.code == 1 && told.out.contains(words), "{told:?}");
    }
}

/// Before it is made, and not in the middle of it.
#[test]
fn doctor_tells_what_deploy_is_not_allowed() {
    let lines = |script: Script, status: &str| -> String {
        let told = Place::with(script).run(&["doctor"]);
        let is_one = |line: &&str| line.contains("permissions") && line.starts_with(status);
        told.out.lines().filter(is_one).map(|line| format!("{line}\n")).collect()
    };
    let denied = || vec!["iam:CreateRole", "iam:DeleteRole", "sqs:CreateQueue"];
    let open = || vec!["iam:PassRole"];
    let nothing = Script { denied: denied(), open: open(), ..fresh("CREATE_COMPLETE", &[]) };
    let told = lines(nothing, "FAIL");
    let role = "iam:CreateRole, iam:DeleteRole on arn:aws:iam::111122223333:role/self-runners-dev-0";
    assert!(
        told.contains(role)
            && told.contains("\nFAIL  permissions  IAM does not allow sqs:CreateQueue on ")
            && !told.contains("PassRole"),
        "{told}"
    );
    let deployed = Script { denied: denied(), ..standing(OURS, "CREATE_COMPLETE") };
    assert!(lines(deployed, "?").contains(role));
    let session = Some("arn:aws:sts::111122223333:assumed-role/Dev/me");
    let all = "IAM allows what `deploy` and `destroy` do";
    assert!(lines(Script { arn: session, ..fresh("CREATE_COMPLETE", &[]) }, "ok").contains(all));
    let root =
        Script { arn: Some("arn:aws:iam::111122223333:root"), denied: denied(), ..fresh("CREATE_COMPLETE", &[]) };
    assert!(lines(root, "ok").contains(all));
    let unasked =
        refusing("SimulatePrincipalPolicy", "AccessDenied", "is not authorized to perform: iam:X on resource");
    assert!(
        lines(unasked, "?").contains("is not known: cannot ask IAM what is allowed: the permission iam:X is missing")
    );
}

/// As a new account's: one machine of four processors fits.
#[test]
fn a_quota_that_is_too_small_is_told_before_anything_is_made() {
    let place = Place::with(Script { quota: 6.0, ..fresh("CREATE_COMPLETE", &[]) });
    let told = place.deploy();
    assert!(told.err.contains("Fargate's quota here is 6: 1 of the largest run at once"), "{told:?}");
    assert_eq!(told.code, 0, "{told:?}");
    let place = Place::with(Script { quota: 2.0, ..fresh("CREATE_COMPLETE", &[]) });
    assert!(place.deploy().err.contains("none of its runners can start; raise L-3032A538"));
}
