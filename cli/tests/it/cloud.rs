//! The commands for AWS: in a build that has it, and in one that says which has it. Nothing here reaches AWS.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::bench::{Ran, program, ran, write};

/// A folder with a configuration.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("self-runners.toml"), text);
        Self { folder }
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(program().args(args).current_dir(self.folder.path()).output().unwrap())
    }
}

fn example() -> Folder {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/aws.toml");
    Folder::with(&std::fs::read_to_string(path).unwrap())
}

#[cfg(not(feature = "aws"))]
mod left_out {
    use super::*;

    #[test]
    fn a_build_without_aws_says_which_has_it() {
        let folder = example();
        folder.run(&["template", "--stage", "qa"]).failed(2, &["this build leaves AWS out", "--features aws"]);
        let checked = folder.run(&["config", "check"]);
        assert_eq!(checked.code, 2, "{checked:?}");
        assert!(checked.out.contains("aws: this build leaves AWS out"), "{checked:?}");
    }
}

#[cfg(feature = "aws")]
mod there {
    use serde_json::Value;

    use super::*;

    fn template(folder: &Folder, more: &[&str]) -> Value {
        let ran = folder.run(&[&["template", "--format", "json"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    #[test]
    fn the_template_is_that_of_the_stage_which_is_named() {
        let folder = example();
        let of_file = template(&folder, &[]);
        assert_eq!(of_file["Resources"]["Cluster"]["Properties"]["ClusterName"], "self-runners-production");
        folder
            .run(&["template", "--stage", "qa"])
            .failed(2, &["runners.example.com in the file is stage production's"]);
        let mut command = program();
        command.args(["template", "--format", "json", "--stage", "qa"]).current_dir(folder.folder.path());
        command.env("SELF_RUNNERS_AWS_DOMAIN_NAME", "qa.example.com");
        let of_flag: Value = serde_json::from_str(&ran(command.output().unwrap()).out).unwrap();
        assert_eq!(of_flag["Resources"]["Cluster"]["Properties"]["ClusterName"], "self-runners-qa");
        assert!(of_flag["Resources"]["TaskDefinitionLarge"].is_object(), "{of_flag}");
        folder
            .run(&["template", "--stage", "Q A"])
            .failed(2, &["--stage: stage: `Q A` cannot be part of runners' names"]);
    }

    #[test]
    fn people_read_yaml_with_a_comment_for_each_resource() {
        let ran = example().run(&["template"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.starts_with("AWSTemplateFormatVersion: \"2010-09-09\"\n"), "{}", ran.out);
        assert!(ran.out.contains("\n  # Machines of the class `small`.\n  TaskDefinitionSmall:\n"), "{}", ran.out);
        assert!(ran.out.contains("\n  WebhookUrl:\n"), "{}", ran.out);
    }

    #[test]
    fn a_configuration_of_no_class_has_the_usual_one_of_the_functions_architecture() {
        let folder = Folder::with("[owners.acme]\n[aws]\narch = \"x86_64\"\nimage = \"ghcr.io/acme/runner:1\"\n");
        let task = &template(&folder, &[])["Resources"]["TaskDefinitionDefault"]["Properties"];
        assert_eq!((task["Cpu"].as_str(), task["Memory"].as_str()), (Some("4096"), Some("16384")));
        assert_eq!(task["EphemeralStorage"]["SizeInGiB"], 75);
        assert_eq!(task["RuntimePlatform"]["CpuArchitecture"], "X86_64");
    }

    #[test]
    fn what_cannot_be_deployed_is_told_with_line_and_remedy() {
        let folder = Folder::with(
            "[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\nlog_retention_days = 31\nzone = \"a\"\n\
             [aws.network]\nsubnets = [\"subnet-1\"]\n[aws.valkey]\nurl = \"rediss://u:hunter2@h:1\"\n\
             [[classes]]\nname = \"big\"\nlabels = [\"self-hosted\"]\nsize = { memory_mb = 32768 }\n",
        );
        let told = folder.run(&["config", "check"]);
        assert_eq!(told.code, 2, "{told:?}");
        assert!(told.out.contains("self-runners.toml:5: aws.zone: there is no such key"), "{told:?}");
        let text = std::fs::read_to_string(folder.folder.path().join("self-runners.toml")).unwrap();
        write(&folder.folder.path().join("self-runners.toml"), &text.replace("zone = \"a\"\n", "state = \"valkey\"\n"));
        let told = folder.run(&["config", "check"]);
        for words in [
            ":4: aws.log_retention_days: CloudWatch does not keep logs for 31 days: write 60",
            ":7: aws.network.subnets: of which VPC?",
            ":9: aws.valkey.url: user and password stand in a secret",
            ":13: classes.big.size.memory_mb: Fargate has no machine of 4000 thousandths",
        ] {
            assert!(told.out.contains(words), "{words}: {told:?}");
        }
        let shown = folder.run(&["config", "show"]);
        assert!(shown.out.contains("aws.valkey.url") && shown.out.contains("\"***\""), "{shown:?}");
        assert!(!told.out.contains("hunter2") && !shown.out.contains("hunter2"), "{told:?}");
        folder.run(&["template"]).failed(2, &["self-runners.toml:4: aws.log_retention_days", "3 more"]);
    }

    #[test]
    fn what_jobs_may_ask_for_must_be_had_on_fargate() {
        let folder = Folder::with(
            "[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\n[[classes]]\nname = \"big\"\n\
             labels = [\"self-hosted\"]\n[classes.allow]\ncpu_milli = [2500, 3500]\nmemory_mb = [31744, 40000]\n\
             disk_gb = [20, 100]\n",
        );
        let told = folder.run(&["config", "check"]);
        for words in [
            ":8: classes.big.allow.cpu_milli: Fargate has no machine within",
            ":9: classes.big.allow.memory_mb: Fargate has no such memory",
            ":10: classes.big.allow.disk_gb: Fargate has disks of 21 to 200 GiB",
        ] {
            assert!(told.out.contains(words), "{words}: {told:?}");
        }
    }

    #[test]
    fn a_class_needs_an_image_and_a_folder_a_configuration() {
        let folder = Folder::with("[owners.acme]\n[aws]\n[[classes]]\nname = \"big\"\nlabels = [\"self-hosted\"]\n");
        folder.run(&["template"]).failed(2, &["aws.image: missing: write the URI", "`image` in each class"]);
        let empty = tempfile::tempdir().unwrap();
        let ran = ran(program().arg("template").current_dir(empty.path()).output().unwrap());
        ran.failed(2, &["no configuration", "config init"]);
    }

    #[test]
    fn a_secret_that_was_typed_is_not_repeated() {
        let folder = Folder::with("[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\n");
        for typed in [
            &["secrets", "set", "GITHUB_API_TOKEN", "ghp_s3cr3t"][..],
            &["secrets", "set", "ghp_s3cr3t"],
            &["secrets", "set", "GITHUB_APP_PRIVATE_KEY", "-----BEGIN s3cr3t"],
            &["secrets", "set", "--stage", "dev", "GITHUB_API_TOKEN=ghp_s3cr3t"],
        ] {
            let told = folder.run(typed);
            assert!(!format!("{told:?}").contains("s3cr3t"), "{told:?}");
            told.failed(2, &["not shown", "at the prompt or on stdin", "make a new one"]);
        }
        assert_eq!(folder.run(&["secrets", "set", "--help"]).code, 0);
    }

    #[test]
    fn without_a_daemon_the_stage_of_the_file_is_named() {
        let folder = Folder::with("stage = \"qa\"\n[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\n");
        folder.run(&["status"]).failed(2, &["which daemon?", "the stage on AWS: `--stage qa`"]);
    }

    #[test]
    fn a_class_on_instances_is_told_what_it_needs_and_made_for_them() {
        let class = "[[classes]]\nname = \"big\"\nlabels = [\"self-hosted\"]\n";
        let capacity = "capacity.big = { kind = \"ec2\", providers = [\"team\"] }\n";
        let folder = |network: &str| {
            Folder::with(&format!(
                "[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\n{capacity}{network}{class}"
            ))
        };
        folder("").run(&["template"]).failed(2, &["aws.capacity.big: a task on an instance has no public address"]);
        let network = "[aws.network]\nvpc_id = \"vpc-1\"\nsubnets = [\"subnet-1\"]\npublic_ip = false\n";
        let told = folder(network).run(&["template"]);
        assert!(told.out.contains("CAPACITY_PROVIDERS: big=team"));
        let cost = folder(network).run(&["cost"]);
        assert!(cost.out.contains("big: what its instances cost"), "{cost:?}");
    }

    #[test]
    fn more_than_an_environment_can_hold_is_told_before_it_is_deployed() {
        let classes: String = (0..60)
            .map(|n| {
                format!("[[classes]]\nname = \"class-{n}\"\nlabels = [\"self-hosted\", \"linux\", \"label-{n}\"]\n")
            })
            .collect();
        let folder = Folder::with(&format!("[owners.acme]\n[aws]\nimage = \"ghcr.io/acme/runner:1\"\n{classes}"));
        folder.run(&["template"]).failed(2, &["of the 4096 that a function's environment may have", "fewer classes"]);
    }

    /// What only a daemon needs is neither missing nor warned of.
    #[test]
    fn a_file_for_aws_is_checked_as_whoever_deploys_it_does() {
        let app = "[github]\napp_id = 5\ntoken_file = \"/nowhere\"\n[owners.acme]\n";
        let folder = Folder::with(&format!("{app}[aws]\nimage = \"ghcr.io/acme/runner:1\"\n"));
        let check = |variables: &[(&str, &str)], more: &[&str]| {
            let mut command = program();
            command.args(["config", "check"]).args(more).current_dir(folder.folder.path());
            command.env_remove("HOME").env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
            ran(command.envs(variables.iter().copied()).output().unwrap())
        };
        let good = check(&[("AWS_REGION", "eu-west-1")], &["--stage", "qa"]);
        assert!(good.code == 0 && good.out == "self-runners.toml: nothing is wrong\n", "{good:?}");
        let nowhere = check(&[], &[]);
        assert!(nowhere.code == 0 && nowhere.out.contains("no Region is named"), "{nowhere:?}");
        let wrong = check(&[("AWS_DEFAULT_REGION", "Frankfurt")], &[]);
        assert!(wrong.out.contains("AWS_DEFAULT_REGION: aws.region: `Frankfurt` is no Region"), "{wrong:?}");
        let shown = folder.run(&["config", "show"]);
        assert!(shown.out.contains("aws.region"), "{shown:?}");
    }

    #[test]
    fn what_follows_from_a_wrong_value_is_not_told_as_well() {
        let folder = Folder::with(
            "[owners.acme]\n[aws]\nstate = \"redis\"\nimage = 5\n[aws.valkey]\nurl = \"redis://h:1\"\n\
             [aws.network]\nvpc_id = 3\nsubnets = [\"subnet-1\"]\n[[classes]]\nname = \"big\"\n\
             labels = [\"self-hosted\"]\nsize = { cpu_milli = \"x\", memory_mb = 512 }\nmax = 5000000000\nplacements = 0\n\
             allow = { cpu_milli = [1000] }\n",
        );
        let told = folder.run(&["config", "check"]);
        for words in [
            "aws.state: `redis` is none of those that there are: write one of `dynamodb`, `valkey`",
            "classes.big.max: 5000000000 is too large: write a whole number from 0 on",
            "classes.big.allow.cpu_milli: this has 1 value: write the least and the most, as [1, 8]",
        ] {
            assert!(told.out.contains(words), "{words}: {told:?}");
        }
        assert!(told.out.contains("self-runners.toml: 7 errors"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_written_is_no_success() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = program();
        let folder = example();
        command.arg("template").current_dir(folder.folder.path()).stdout(full);
        ran(command.output().unwrap()).failed(1, &["cannot write what was asked for: No space left on device"]);
    }

    #[test]
    fn variables_reach_the_sections_below() {
        let folder = example();
        let mut command = program();
        command.args(["template", "--format", "json"]).current_dir(folder.folder.path());
        command.env("SELF_RUNNERS_AWS_NETWORK_CIDR", "10.9.0.0/16").env("SELF_RUNNERS_AWS_ARCH", "x86_64");
        let told: Value = serde_json::from_str(&ran(command.output().unwrap()).out).unwrap();
        assert_eq!(told["Resources"]["Vpc"]["Properties"]["CidrBlock"], "10.9.0.0/16");
        assert_eq!(told["Resources"]["HelloHandler"]["Properties"]["Architectures"][0], "x86_64");
    }
}
