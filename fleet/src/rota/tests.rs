//! The rota against a GitHub whose looks have fixed costs: what it spends, and how long anybody waits.

use proptest::prelude::*;

use super::*;

/// Repositories `acme/r0`, `acme/r1` and so on.
fn repos(count: usize) -> BTreeSet<Repo> {
    (0..count).filter_map(|i| Repo::parse(&format!("acme/r{i}"))).collect()
}

fn repo(i: usize) -> Repo {
    Repo::parse(&format!("acme/r{i}")).unwrap()
}

fn glance(now_ms: u64) -> Looked {
    let cost = Cost::of_request(true);
    Looked { began_ms: now_ms, ended_ms: now_ms, cost, changed: false, open: false, listed: false }
}

/// What happens when the rota is followed for some time.
struct Followed {
    rota: Rota,
    now_ms: u64,
    /// When each was looked at, and what was promised then.
    looks: BTreeMap<Repo, Vec<(u64, u64)>>,
    /// Each look's time and cost.
    spent: Vec<(u64, Cost)>,
}

const BEGIN_MS: u64 = 1_700_000_000_000;

impl Followed {
    fn new(count: usize, pace: Pace) -> Self {
        let mut rota = Rota::new(pace);
        rota.know(&repos(count));
        Self { rota, now_ms: BEGIN_MS, looks: BTreeMap::new(), spent: Vec::new() }
    }

    /// Follows it until `end_ms` after the beginning. Each look takes `took_ms`; the first `busy` repositories have open
    /// runs, whose listing costs `busy_cost`.
    fn until(&mut self, end_ms: u64, took_ms: u64, busy: usize, busy_cost: Cost) {
        let busy: BTreeSet<Repo> = (0..busy).map(repo).collect();
        while self.now_ms < BEGIN_MS + end_ms {
            match self.rota.next(self.now_ms) {
                Turn::Idle => return,
                Turn::At(at_ms) => {
                    assert!(at_ms > self.now_ms, "it would be asked again at once");
                    self.now_ms = at_ms;
                }
                Turn::Look(repo, how) => {
                    let began_ms = self.now_ms;
                    self.now_ms += took_ms;
                    let open = busy.contains(&repo);
                    let listed = open || how == How::List;
                    let idle = Cost { requests: if listed { 4 } else { 1 }, charged: 0 };
                    let cost = if open { busy_cost } else { idle };
                    let looked = Looked { began_ms, ended_ms: self.now_ms, cost, changed: open, open, listed };
                    self.rota.looked(&repo, &looked);
                    let promised_ms = self.rota.outlook(self.now_ms).worst_delay_ms;
                    self.looks.entry(repo).or_default().push((began_ms, promised_ms));
                    self.spent.push((began_ms, cost));
                }
            }
        }
    }

    /// How long anybody waited until its next look had ended, and what was promised, from `from_ms` after the beginning
    /// on.
    fn waits(&self, from_ms: u64, took_ms: u64) -> Vec<(u64, u64)> {
        let pairs = self.looks.values().flat_map(|looks| looks.windows(2));
        let pairs = pairs.filter(|pair| pair[0].0 >= BEGIN_MS + from_ms);
        pairs.map(|pair| (pair[1].0 + took_ms - pair[0].0, pair[1].1.max(pair[0].1))).collect()
    }

    /// Most that was spent in any window of this length.
    fn most_in(&self, window_ms: u64, of: impl Fn(&Cost) -> u32) -> u32 {
        let (mut most, mut sum, mut first) = (0, 0, 0);
        for (at_ms, cost) in &self.spent {
            sum += of(cost);
            while self.spent[first].0 + window_ms <= *at_ms {
                sum -= of(&self.spent[first].1);
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }
}

#[test]
fn one_quiet_repository_is_seen_within_seconds() {
    let mut followed = Followed::new(1, Pace::default());
    followed.until(10 * 60_000, 150, 0, Cost::default());
    let waits = followed.waits(0, 150);
    assert!(waits.iter().all(|(waited_ms, promised_ms)| *waited_ms <= 6_000 && *promised_ms <= 8_000), "{waits:?}");
}

#[test]
fn the_first_look_of_few_lists_and_of_many_mostly_glances() {
    let mut rota = Rota::new(Pace::default());
    rota.know(&repos(1));
    assert_eq!(rota.next(BEGIN_MS), Turn::Look(repo(0), How::List));
    let mut many = Followed::new(300, Pace::default());
    many.until(30_000, 0, 0, Cost::default());
    let listed = many.spent.iter().filter(|(_, cost)| cost.requests == 4).count();
    assert!(listed * 10 < many.spent.len(), "{listed} of {}", many.spent.len());
}

#[test]
fn one_active_repository_of_fifty_is_seen_sooner() {
    let mut followed = Followed::new(50, Pace::default());
    followed.until(20 * 60_000, 50, 1, Cost { requests: 6, charged: 1 });
    let looks = |i| followed.looks[&repo(i)].len();
    assert!(looks(0) > 2 * looks(1), "{} and {}", looks(0), looks(1));
}

#[test]
fn active_ones_leave_half_of_the_share_to_the_quiet() {
    let mut followed = Followed::new(100, Pace::default());
    // Forty repositories that want far more than there is.
    followed.until(60 * 60_000, 0, 40, Cost { requests: 50, charged: 10 });
    let looks: Vec<usize> = (40..100).map(|i| followed.looks[&repo(i)].len()).collect();
    assert!(looks.iter().sum::<usize>() > 2_000, "{looks:?}");
    assert!(looks.iter().max() <= looks.iter().min().map(|least| least + 2).as_ref(), "{looks:?}");
}

#[test]
fn webhooks_make_looks_seldom_until_one_is_missed() {
    let (mut rota, now_ms) = (Rota::new(Pace::default()), BEGIN_MS);
    rota.know(&repos(2));
    rota.looked(&repo(0), &glance(now_ms));
    rota.looked(&repo(1), &glance(now_ms));
    rota.told(&repo(0), now_ms);
    assert_eq!(rota.next(now_ms + 10_000), Turn::At(now_ms + COVERED_MS), "the hook may be the owner's");
    assert_eq!(rota.outlook(now_ms).by_webhook, 2);
    rota.missed(&repo(1));
    assert!(matches!(rota.next(now_ms + 10_000), Turn::Look(next, _) if next == repo(1)));
    rota.told(&repo(1), now_ms);
    assert_eq!(rota.next(now_ms + 10_000), Turn::At(now_ms + COVERED_MS));
    let later_ms = now_ms + COVERED_FOR_MS;
    assert!(matches!(rota.next(later_ms), Turn::Look(..)) && !rota.is_covered(&repo(0), later_ms));
}

#[test]
fn what_fails_and_who_refuses_is_left_alone_for_a_while() {
    let (mut rota, mut now_ms) = (Rota::new(Pace::default()), BEGIN_MS);
    rota.know(&[repo(0), Repo::parse("globex/one").unwrap()].into());
    let mut waits = Vec::new();
    for _ in 0..10 {
        rota.failed(&repo(0), now_ms);
        rota.looked(&Repo::parse("globex/one").unwrap(), &glance(now_ms));
        rota.shut("globex", now_ms + 3_600_000);
        let Turn::At(at_ms) = rota.next(now_ms) else { panic!("it is asked at once") };
        waits.push(at_ms - now_ms);
        now_ms = at_ms;
    }
    assert!(
        rota.is_failing(&repo(0)) && waits.is_sorted() && *waits.last().unwrap() == FAILED_WAIT_MAX_MS,
        "{waits:?}"
    );
    rota.looked(&repo(0), &glance(now_ms));
    assert!(!rota.is_failing(&repo(0)));
}

#[test]
fn a_sweep_lists_what_it_wants_longest_ago_first() {
    let (mut rota, now_ms) = (Rota::new(Pace::default()), BEGIN_MS);
    rota.know(&repos(3));
    rota.looked(&repo(0), &Looked { listed: true, ..glance(now_ms - 1) });
    rota.looked(&repo(1), &Looked { listed: true, ..glance(now_ms - 2) });
    rota.failed(&repo(2), now_ms);
    let wanted = repos(2);
    assert_eq!(rota.to_list(&wanted, false, now_ms), [repo(1), repo(0)]);
    assert_eq!(rota.to_list(&BTreeSet::new(), false, now_ms), []);
    // One that failed is tried after the others: a slow one would take the time of all each time.
    assert_eq!(rota.to_list(&BTreeSet::new(), true, now_ms + 60_000), [repo(1), repo(0), repo(2)]);
}

#[test]
fn repositories_come_and_go() {
    let mut rota = Rota::new(Pace::default());
    assert_eq!(rota.next(BEGIN_MS), Turn::Idle);
    rota.know(&repos(2));
    rota.looked(&repo(0), &glance(BEGIN_MS));
    rota.know(&repos(1));
    assert_eq!(rota.next(BEGIN_MS), Turn::At(BEGIN_MS + QUIET_MS));
    // Words about one that is not served change nothing.
    rota.told(&repo(7), BEGIN_MS);
    rota.missed(&repo(7));
    rota.looked(&repo(7), &glance(BEGIN_MS));
    assert_eq!(rota.outlook(BEGIN_MS).repositories, 1);
}

#[test]
fn runs_are_read_in_turns_where_there_are_many() {
    let open = || (1..=250).map(RunId);
    let (mut last, mut read) = (None, Vec::new());
    for _ in 0..3 {
        let (runs, left_out) = runs_to_read(open(), last);
        assert_eq!((runs.len(), left_out.len()), (100, 150));
        last = runs.last().copied();
        read.extend(runs);
    }
    assert_eq!(
        (read[0], read[99], read[200], read[249], read[250]),
        (RunId(1), RunId(100), RunId(201), RunId(250), RunId(1))
    );
    let few = runs_to_read((1..=3).map(RunId), Some(RunId(2)));
    assert_eq!(few, (vec![RunId(1), RunId(2), RunId(3)], BTreeSet::new()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever there is to see, the share is held, and nobody waits longer than is promised.
    #[test]
    fn the_share_and_the_promise_hold(
        count in 1_usize..150,
        busy in 0_usize..12,
        requests in 4_u32..40,
        charged in 0_u32..8,
        took_ms in 0_u64..1_000,
        share_percent in 5_u32..=80,
    ) {
        let cost = Cost { requests, charged: charged.min(requests) };
        let mut followed = Followed::new(count, Pace { share_percent, ..Pace::default() });
        let warm_ms = 40 * 60_000;
        followed.until(warm_ms, took_ms, busy.min(count), cost);
        followed.until(3 * warm_ms, took_ms, busy.min(count), cost);
        for (waited_ms, promised_ms) in followed.waits(warm_ms, took_ms) {
            prop_assert!(waited_ms <= promised_ms * 3 / 2, "waited {waited_ms}, promised {promised_ms}");
        }
        let minute = followed.most_in(60_000, |cost| cost.requests);
        prop_assert!(minute <= GITHUB_PER_MINUTE * share_percent / 100 + requests.max(4), "{minute} a minute");
        let hour = followed.most_in(3_600_000, |cost| cost.charged);
        prop_assert!(hour <= GITHUB_PER_HOUR * share_percent / 100 + requests, "{hour} an hour");
    }
}
