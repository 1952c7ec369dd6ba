use std::time::Duration;

use super::*;

const ATTACKER: [u8; 4] = [10, 0, 0, 66];
const OTHER: [u8; 4] = [10, 0, 0, 1];

struct Hall(Arc<Places>);

impl Hall {
    fn new(connections: usize, handshakes: usize, strangers: usize) -> Self {
        Self(Places::new(&Limits {
            connections,
            handshakes,
            strangers,
            ..Limits::default()
        }))
    }

    /// Someone who connected; a second later.
    async fn enter(&self, source: [u8; 4]) -> Seat {
        tokio::time::advance(Duration::from_secs(1)).await;
        self.0.take((source, 1).into()).expect("a place").0
    }

    async fn stranger(&self, source: [u8; 4]) -> (Seat, Peer, Activity) {
        let seat = self.enter(source).await;
        let (peer, activity) = (Peer::new((source, 1).into(), Vec::new()), Activity::new());
        seat.open(&peer, &activity);
        (seat, peer, activity)
    }
}

fn is_in(seat: &Seat) -> bool {
    !seat.leave.is_cancelled()
}

#[tokio::test(start_paused = true)]
async fn too_many_handshakes_cost_the_oldest_of_whoever_has_most() {
    let hall = Hall::new(100, 3, 100);
    let other = hall.enter(OTHER).await;
    let (first, second) = (hall.enter(ATTACKER).await, hall.enter(ATTACKER).await);
    let third = hall.enter(ATTACKER).await;
    assert_eq!(
        [&other, &first, &second, &third].map(is_in),
        [true, false, true, true]
    );
    // Who has said what it wants stays for longer than who is silent.
    second.shaking();
    let fourth = hall.enter(ATTACKER).await;
    assert_eq!(
        [&other, &second, &third, &fourth].map(is_in),
        [true, true, false, true]
    );
    // A place is free again when its connection ends.
    drop((first, second, third));
    let fifth = hall.enter(ATTACKER).await;
    assert_eq!([&other, &fourth, &fifth].map(is_in), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn too_many_strangers_cost_the_one_that_was_idle_for_longest() {
    let hall = Hall::new(100, 100, 3);
    let (known, peer, _) = hall.stranger(ATTACKER).await;
    peer.set_known();
    let (busy, _, activity) = hall.stranger(ATTACKER).await;
    let request = activity.begin();
    let (idle, ..) = hall.stranger(ATTACKER).await;
    let (recent, _, activity) = hall.stranger(ATTACKER).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(activity.begin());
    let (new, ..) = hall.stranger(ATTACKER).await;
    assert_eq!(
        [&known, &busy, &idle, &recent, &new].map(is_in),
        [true, true, false, true, true]
    );
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_the_known_stay_and_a_newcomer_is_let_in() {
    let hall = Hall::new(4, 100, 100);
    let (busy, peer, activity) = hall.stranger(OTHER).await;
    peer.set_known();
    let request = activity.begin();
    let (idle, peer, _) = hall.stranger(OTHER).await;
    peer.set_known();
    let (stranger, ..) = hall.stranger(ATTACKER).await;
    let silent = hall.enter(ATTACKER).await;

    let mut newcomers = Vec::new();
    for _ in 0..3 {
        let newcomer = hall.enter(OTHER).await;
        newcomer.shaking();
        newcomers.push(newcomer);
    }
    // The silent one went, then the stranger, then the first that was no further than a handshake.
    assert_eq!(
        [&busy, &idle, &stranger, &silent].map(is_in),
        [true, true, false, false]
    );
    assert_eq!(
        newcomers.iter().map(is_in).collect::<Vec<_>>(),
        [false, true, true]
    );

    // When none but the known are there, an idle one of them goes first.
    for newcomer in &newcomers {
        let (peer, activity) = (Peer::new((OTHER, 1).into(), Vec::new()), Activity::new());
        newcomer.open(&peer, &activity);
        peer.set_known();
        std::mem::forget(activity.begin());
    }
    let last = hall.enter(OTHER).await;
    assert!(is_in(&busy) && !is_in(&idle) && is_in(&last));
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn nobody_pushes_the_front_proxy_out() {
    let hall = Hall::new(4, 100, 100);
    let mut proxies = Vec::new();
    for _ in 0..2 {
        let (seat, peer, activity) = hall.stranger(OTHER).await;
        peer.set_front_proxy();
        proxies.push((seat, peer, activity));
    }
    // Someone with a token, and a request on each connection of which nothing is read.
    let mut holders = Vec::new();
    for _ in 0..3 {
        let (seat, peer, activity) = hall.stranger(ATTACKER).await;
        peer.set_known();
        let request = activity.begin();
        holders.push((seat, request));
    }
    let is_held = |holders: &[(Seat, _)]| holders.iter().map(|(seat, _)| is_in(seat)).collect::<Vec<_>>();
    assert_eq!(is_held(&holders), [false, true, true]);
    let newcomer = hall.enter(OTHER).await;
    assert_eq!(is_held(&holders), [false, false, true]);
    assert!(is_in(&newcomer) && proxies.iter().all(|(seat, ..)| is_in(seat)));

    // Only where all are the front proxy's, and busy, there is no place.
    let busy = Hall::new(2, 100, 100);
    let mut requests = Vec::new();
    for _ in 0..2 {
        let (seat, peer, activity) = busy.stranger(OTHER).await;
        peer.set_front_proxy();
        requests.push((activity.begin(), seat));
    }
    assert!(busy.0.take((OTHER, 1).into()).is_none());
    drop(requests.pop());
    assert!(busy.0.take((OTHER, 1).into()).is_some());
}

#[tokio::test(start_paused = true)]
async fn it_is_crowded_from_three_quarters_on() {
    let hall = Hall::new(100, 100, 4);
    let mut all = Vec::new();
    for crowded in [false, false, false, true] {
        all.push(hall.stranger(ATTACKER).await);
        assert_eq!(hall.0.is_crowded(), crowded, "{}", all.len());
    }
    all[0].1.set_known();
    assert!(!hall.0.is_crowded(), "the known are no strangers");
}
