//! What can go wrong in a world, and how often. Drawn from the seed; one seed, one world.

use fastrand::Rng;

/// Faults of everything but GitHub (those are the hub's own), in thousandths where they are chances.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name in traces and counts.
    pub name: &'static str,
    /// The engine refuses a launch.
    pub refuse: u32,
    /// Launches that the engine takes at once before its rate counts: Fargate's bucket has 100, of which calls for one
    /// machine each reach 20 (FACTS §4).
    pub launches_at_once: u32,
    /// The engine holds to ECS's rates, and throttles who calls faster.
    pub engine_rates: bool,
    /// The engine refuses all launches in the first quarter.
    pub drought: bool,
    /// An answer of the engine or GitHub is lost after the call took effect.
    pub answer_lost: u32,
    /// The engine or the store fails a call.
    pub call_fails: u32,
    /// Longest boot of a machine, milliseconds.
    pub boot_max_ms: u64,
    /// A machine dies at boot.
    pub boot_dies: u32,
    /// A machine hangs at boot.
    pub boot_hangs: u32,
    /// A listener never connects.
    pub never_connects: u32,
    /// A machine dies while it runs a job (Spot).
    pub dies_at_work: u32,
    /// A machine is taken back while it runs a job, with a notice (Spot): its agent gets SIGTERM.
    pub spot_at_work: u32,
    /// A machine is taken back before it has one, with a notice.
    pub spot_early: u32,
    /// A machine dies while it waits.
    pub dies_idle: u32,
    /// An agent hangs when its runner is idle, so that nothing ends it.
    pub agent_hangs: u32,
    /// A report of an agent does not arrive.
    pub report_lost: u32,
    /// The answer to a claim does not arrive.
    pub claim_lost: u32,
    /// The engine's event that a machine stopped does not arrive.
    pub task_event_lost: u32,
    /// The engine does not carry out a stop.
    pub stop_lost: u32,
    /// The controller dies at a port call.
    pub crash: u32,
    /// Every call that changes something is made twice.
    pub twice: bool,
    /// How long machines are not listed yet, and still listed, milliseconds.
    pub list_lag_ms: u64,
    /// The store is emptied once.
    pub store_lost: bool,
    /// Clocks of the controllers differ by up to this, milliseconds.
    pub skew_ms: u64,
    /// Controllers that share the store.
    pub controllers: usize,
    /// Webhooks are handled eight at once, without an inbox.
    pub direct: bool,
    /// The operator stops a runner, changes limits.
    pub operator: bool,
    /// GitHub's faults, as a level: 0 none, 1 some, 2 many.
    pub github: u32,
    /// No webhook arrives at all.
    pub all_lost: bool,
    /// What was told of a runner is told once more, later (thousandths).
    pub echo: u32,
    /// A stale or forged word is said now and then: one that must change nothing.
    pub noise: bool,
    /// Controllers are called when there is something to do, as functions are, and not kept running.
    pub called: bool,
    /// A sweep of a controller that is called begins nothing new after so long, milliseconds.
    pub sweep_lasts_ms: u64,
    /// Controllers look for jobs all the time, not only in their sweeps.
    pub polls: bool,
    /// The runners of the first class register with a token.
    pub tokens: bool,
    /// The runners of the class `big` are told their credentials at the launch, and talk to nobody but GitHub.
    pub env: bool,
    /// The runner group does not let the repositories have its runners.
    pub group_refuses: bool,
    /// A job outlives the maximum lifetime of its runner.
    pub endless_job: bool,
}

impl Profile {
    /// A world without faults.
    pub fn calm() -> Self {
        Self {
            name: "calm",
            refuse: 0,
            launches_at_once: 100,
            engine_rates: false,
            drought: false,
            answer_lost: 0,
            call_fails: 0,
            boot_max_ms: 40_000,
            boot_dies: 0,
            boot_hangs: 0,
            never_connects: 0,
            dies_at_work: 0,
            spot_at_work: 0,
            spot_early: 0,
            dies_idle: 0,
            agent_hangs: 0,
            report_lost: 0,
            claim_lost: 0,
            task_event_lost: 0,
            stop_lost: 0,
            crash: 0,
            twice: false,
            list_lag_ms: 0,
            store_lost: false,
            skew_ms: 0,
            controllers: 1,
            direct: false,
            operator: false,
            github: 0,
            all_lost: false,
            endless_job: false,
            echo: 0,
            noise: false,
            called: false,
            sweep_lasts_ms: 205_000,
            polls: false,
            tokens: false,
            env: false,
            group_refuses: false,
        }
    }

    /// The world of a seed: each tenth is a special one, the rest are mixtures.
    pub fn of(rng: &mut Rng) -> Self {
        let calm = Self::calm();
        match rng.u32(0..20) {
            0 => calm,
            1 => Self {
                name: "all webhooks lost",
                all_lost: true,
                controllers: 2,
                polls: rng.bool(),
                env: rng.u32(0..3) == 0,
                ..calm
            },
            2 => Self { name: "store emptied", store_lost: true, github: 1, ..Self::mixture(rng) },
            3 => Self { name: "crashes", crash: 8, controllers: 2, answer_lost: 20, env: rng.u32(0..3) == 0, ..calm },
            4 => Self { name: "everything twice", twice: true, controllers: 2, ..calm },
            5 => Self { name: "no capacity", drought: true, refuse: 300, ..calm },
            6 => Self { name: "many hands", controllers: 4, direct: true, github: 1, ..calm },
            7 => Self {
                name: "deaths",
                boot_dies: 100,
                boot_hangs: 60,
                dies_at_work: 100,
                spot_at_work: 100,
                spot_early: 50,
                dies_idle: 200,
                env: rng.u32(0..3) == 0,
                ..calm
            },
            8 => Self { name: "bad hub", github: 2, report_lost: 200, controllers: 2, tokens: true, ..calm },
            9 => Self { name: "operator", operator: true, endless_job: true, ..Self::mixture(rng) },
            10 => Self { name: "noise", noise: true, dies_idle: 200, agent_hangs: 150, controllers: 2, ..calm },
            11 => Self { name: "group refuses", group_refuses: true, ..calm },
            _ => Self::mixture(rng),
        }
    }

    fn mixture(rng: &mut Rng) -> Self {
        let mut some = |most: u32| if rng.bool() { rng.u32(0..=most) } else { 0 };
        let mut profile = Self {
            name: "mixture",
            refuse: some(200),
            answer_lost: some(50),
            call_fails: some(50),
            boot_dies: some(100),
            boot_hangs: some(40),
            never_connects: some(50),
            dies_at_work: some(60),
            spot_at_work: some(100),
            spot_early: some(50),
            dies_idle: some(100),
            agent_hangs: some(50),
            report_lost: some(300),
            claim_lost: some(200),
            task_event_lost: some(500),
            stop_lost: some(300),
            crash: some(3),
            github: some(2),
            echo: some(60),
            ..Self::calm()
        };
        profile.drought = rng.u32(0..10) == 0;
        profile.store_lost = rng.u32(0..10) == 0;
        profile.list_lag_ms = if rng.bool() { rng.u64(0..30_000) } else { 0 };
        profile.skew_ms = if rng.bool() { rng.u64(0..20_000) } else { 0 };
        profile.controllers = rng.usize(1..=3);
        profile.direct = rng.bool();
        profile.twice = rng.u32(0..10) == 0;
        profile.noise = rng.u32(0..4) == 0;
        profile.polls = rng.bool();
        profile.called = rng.bool();
        if rng.u32(0..4) == 0 {
            // So short that it does not come to all that it should look at.
            profile.sweep_lasts_ms = 3_000;
        }
        profile.tokens = rng.bool();
        profile.env = rng.u32(0..3) == 0;
        profile
    }

    /// The same world with nothing going wrong any more.
    pub fn healed(&self) -> Self {
        Self {
            name: self.name,
            list_lag_ms: self.list_lag_ms,
            skew_ms: self.skew_ms,
            controllers: self.controllers,
            direct: self.direct,
            all_lost: self.all_lost,
            called: self.called,
            sweep_lasts_ms: self.sweep_lasts_ms,
            polls: self.polls,
            ..Self::calm()
        }
    }
}
