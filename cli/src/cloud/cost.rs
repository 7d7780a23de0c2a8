//! `cost`: what a configuration costs on AWS: at rest, a job, a runner's hour, a month. It talks to nobody.

use std::{fs, process::ExitCode};

use aws::{
    cost::{Cost, Item, PRICES, Prices, Usd, sum},
    settings::{Settings as AwsSettings, State},
};
use fleet::{
    class::{Arch, Class},
    ids::ClassName,
};
use serde_json::json;

use super::Deployment;
use crate::{cloud_args::CostArgs, failure::Failure, table::columns, terminal};

/// Tells it.
pub(crate) fn command(args: &CostArgs) -> Result<ExitCode, Failure> {
    let deployment = Deployment::read(&args.plan)?;
    let prices = prices(args)?;
    let cost = Cost {
        prices: &prices,
        settings: &deployment.settings,
        policy: &deployment.policy,
        sweep_interval_ms: deployment.operator.sweep_interval_ms,
    };
    terminal::say(&if args.json { json(&cost, args) } else { text(&cost, args) });
    Ok(ExitCode::SUCCESS)
}

fn prices(args: &CostArgs) -> Result<Prices, Failure> {
    let text = match &args.prices {
        None => PRICES.to_owned(),
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read the prices {}: {error}", path.display())))?,
    };
    let of_file = |what| match &args.prices {
        Some(path) => Failure::usage(format!("{}: {what}", path.display())),
        None => Failure::failed(what),
    };
    Prices::read(&text).map_err(of_file)
}

fn text(cost: &Cost<'_>, args: &CostArgs) -> String {
    let Prices { region, seen, .. } = cost.prices;
    let mut text = format!("list prices of {region}, {seen}, in USD; inside and outside AWS's always-free tier\n");
    if let Some(own) = cost.settings.region.as_ref().filter(|own| *own != region) {
        text += &format!("(the stage is in {own}, whose prices may differ: `--prices FILE` takes others)\n");
    }
    text.push('\n');
    text += &bill("AT REST, A MONTH", &cost.at_rest(), 2);
    text.push('\n');
    text += &bill("CONTROL PLANE, A JOB", &cost.per_job(), 7);
    text.push('\n');
    text += &hours(cost);
    text.push('\n');
    text += &month(cost, args);
    text += &other(cost);
    text
}

fn bill(head: &str, items: &[Item], digits: usize) -> String {
    let usd = |usd: f64| format!("{usd:.digits$}");
    let row =
        |what: &str, amount: &str, cost: Usd| [what.to_owned(), amount.to_owned(), usd(cost.inside), usd(cost.outside)];
    let mut rows: Vec<_> = items.iter().map(|item| row(item.what, &item.amount, item.usd)).collect();
    rows.push(row("sum", "", sum(items)));
    columns([head, "", "INSIDE", "OUTSIDE"], &rows)
}

fn hours(cost: &Cost<'_>) -> String {
    let row = |class: &Class| {
        let (hour, spot) = cost.runner_hour(&class.size);
        [class.name.to_string(), size(class), format!("{hour:.4}"), format!("{spot:.4}")]
    };
    let rows: Vec<_> = cost.settings.on_fargate(cost.policy).classes.iter().map(row).collect();
    let mut text = columns(["RUNNER, AN HOUR", "", "ON DEMAND", "SPOT, AT BEST"], &rows);
    for class in cost.settings.capacity.keys() {
        text += &format!("{class}: what its instances cost, as EC2 bills them; not counted here\n");
    }
    text
}

fn size(class: &Class) -> String {
    let size = &class.size;
    let arch = match size.arch {
        Arch::Arm64 => "arm64",
        Arch::X86_64 => "x86_64",
    };
    let (cpu, gb) = (f64::from(size.cpu_milli) / 1e3, f64::from(size.memory_mb) / 1_024.0);
    format!("{cpu} vCPU, {gb} GB, {} GB disk, {arch}", size.disk_gb)
}

/// What a month costs, in USD outside the free tier.
struct Month {
    class: ClassName,
    runners: f64,
    control: f64,
    rest: f64,
}

impl Month {
    /// So many jobs of so many minutes, all of the first class; `None`: no class is on Fargate.
    fn of(cost: &Cost<'_>, args: &CostArgs) -> Option<Self> {
        let policy = cost.settings.on_fargate(cost.policy);
        let class = policy.classes.first()?;
        let hours = args.jobs as f64 * args.minutes as f64 / 60.0;
        Some(Self {
            class: class.name.clone(),
            runners: cost.runner_hour(&class.size).0 * hours,
            control: sum(&cost.per_job()).outside * args.jobs as f64,
            rest: sum(&cost.at_rest()).outside,
        })
    }

    fn sum(&self) -> f64 {
        self.runners + self.control + self.rest
    }
}

fn month(cost: &Cost<'_>, args: &CostArgs) -> String {
    let Some(month) = Month::of(cost, args) else { return String::new() };
    let Month { class, runners, control, rest } = &month;
    format!(
        "A month with {} jobs of {} min in class `{class}`, outside the free tier: {:.2} = {runners:.2} for runners + \
         {control:.2} for the control plane + {rest:.2} at rest.\n",
        args.jobs,
        args.minutes,
        month.sum()
    )
}

/// The other store beside it.
fn other(cost: &Cost<'_>) -> String {
    let (state, word) = match cost.settings.state {
        State::DynamoDb => (State::Valkey, "a Valkey of the stack"),
        State::Valkey | State::ValkeyAt(_) => (State::DynamoDb, "DynamoDB"),
    };
    let settings = AwsSettings { state, ..cost.settings.clone() };
    let other = Cost { settings: &settings, ..*cost };
    let (rest, job) = (sum(&other.at_rest()).outside, sum(&other.per_job()).outside);
    format!("With {word} instead: {rest:.2} a month at rest, {job:.7} a job, outside the free tier.\n")
}

fn json(cost: &Cost<'_>, args: &CostArgs) -> String {
    let bill = |items: &[Item]| {
        let item = |item: &Item| json!({ "what": item.what, "amount": item.amount, "inside_usd": item.usd.inside, "outside_usd": item.usd.outside });
        let sum = sum(items);
        json!({ "items": items.iter().map(item).collect::<Vec<_>>(), "inside_usd": sum.inside, "outside_usd": sum.outside })
    };
    let hour = |class: &Class| {
        let (on_demand, spot) = cost.runner_hour(&class.size);
        json!({ "class": class.name, "on_demand_usd": on_demand, "spot_usd": spot })
    };
    let month = Month::of(cost, args).map(|month| {
        json!({
            "jobs": args.jobs, "minutes": args.minutes, "class": month.class, "runners_usd": month.runners,
            "control_plane_usd": month.control, "at_rest_usd": month.rest, "outside_usd": month.sum(),
        })
    });
    json!({
        "month": month,
        "region": cost.prices.region,
        "seen": cost.prices.seen,
        "at_rest_month": bill(&cost.at_rest()),
        "per_job": bill(&cost.per_job()),
        "runner_hours": cost.policy.classes.iter().map(hour).collect::<Vec<_>>(),
    })
    .to_string()
}
