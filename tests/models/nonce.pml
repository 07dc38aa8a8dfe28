/*
 * One API key's mark, from a request to the answer that leaves, whatever comes in between. Each step
 * is a function of the code, which its comment names. The loop of hsm-signerd is one thread, so a step
 * is atomic; state's thread, token workers and the world move between steps.
 *
 * Checked:
 *   - an answer leaves with a nonce above every one that left before, in this run or an earlier one;
 *   - a nonce is drawn above every one drawn before, whether its answer left or not. Behind an old
 *     state that was brought back, the log counts instead: what it lacks never left, and may be drawn
 *     again;
 *   - the log's nonces rise (`audit verify` fails on others);
 *   - a client that has asked is answered or refused (`answered`, weak fairness), whatever writes
 *     fail, as long as state's thread and the workers go on.
 *
 * The world, at any moment and without end: kills the signer (its memory is gone, what the kernel has
 * of the log is not); cuts the power (the log ends at what was synced, as with durability "os");
 * steps the clock, for each draw anew; fails writes of state.db, with what was written on disk or
 * not; fails writes of the log; takes workers with their frames; stops the signer cleanly, with
 * requests that outlast its patience; gives the log up (--audit-lost); brings an older state.db back.
 *
 * Assumed:
 *   - what state.db has committed stays (WAL, synchronous=FULL), unless an older copy is brought back;
 *   - an old state.db is brought back beside a log that has the last nonce that left. A state and a
 *     log's tail that are lost together take the signer back in time (docs/threat-model.md); -DLOSE_BOTH
 *     shows it;
 *   - behind an old state.db the log is not given up before a start has told it of the log's marks;
 *   - one process at a time has state.db (locking_mode = EXCLUSIVE) and the log (flock). So an epoch is
 *     a run, and the epochs of Store::settle() and Book::install() are a second wall: the model holds
 *     with -DNO_EPOCH, and with -DNO_LOCK, and not with both.
 *
 * The signer draws at dispatch (signer-*). -DCALLER: callers bring the nonces (caller-*), any number
 * up to TOP. -DPANIC with it: client 1 is the administrator, who freezes the key and draws above all
 * that was admitted.
 *
 * A guard left out each, so the model has to fail:
 *   NO_DURABLE_WRITE   a reservation is used before it is on disk
 *   MARK_LOWERED       Store::reserve() sets the mark without max()
 *   NO_SKIP            Book::install() does not skip what lies below the reservation
 *   SETTLE_THEN_USE    Book::install() takes an answer that nobody waits for
 *   LATE_ANSWER_TAKEN  Book::install() takes an answer from before settle() for one asked behind it
 *   BLOCK_KEPT         Book::settle() leaves the reservation in force
 *   NO_LOG_MARKS       NonceDesk::open() does not raise the mark to the log's
 *   MARKS_UNTOLD       check_sealed() does not tell state.db of the log's marks
 *   OVERTAKEN_SIGNED   of PANIC: SignTask::write() does not look at Book::not_overtaken()
 *   RELEASE_FIRST      the answer leaves before its record is written
 *   NO_PIN             a key's frames go to any worker (Lanes)
 *   NO_ORDER           of CALLER: jobs leave in any order (Job::in_order)
 *   FAILED_STAYS_ASKED Book::reserve_failed() forgets nothing: breaks `answered`
 *   WAITERS_FORGOTTEN  NonceDesk::reserved() resumes nobody after a failure: breaks `answered`
 *
 * Bounds: blocks of BLOCK numbers, a clock that shows 0 to CLOCK, nonces up to TOP (kMost in nonce.cc:
 * a draw above is refused), two requests at a time; runs, crashes and requests are not counted, so
 * there is no bound on those. nonce_model_test.py sets them: 387,657 states of signer-*, 427,129 of
 * caller-*, 754,045 with panics; docs/nonces.md has the others.
 */
#ifndef BLOCK
#define BLOCK 4
#endif
#ifndef CLOCK
#define CLOCK 2
#endif
#ifndef TOP
#define TOP 8
#endif

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* state.db: state/store.cc, table mark, and the epoch of this opening. */
byte mark, floor, mark_epoch;
byte epoch = 1; /* Counted with NO_LOCK; else what matters is whether it is this run's. */
/* The log, as the last nonce in it: in the kernel, and on disk. */
byte logged, synced;

/* Book::Mark, nonce/nonce.h. */
byte last_used, reserved_last;
bool reserved, asked;
bool late; /* given_back: an answer is under way whose numbers settle() gave back. */

/* The daemon. SETTLING: nonces_.settle() was called. LEAVING: it is done, take_leave() has stopped the
 * workers' links, only what was recorded still leaves. */
#define DOWN 0
#define UP 1
#define SETTLING 2
#define LEAVING 3
byte phase = DOWN;

/* A client's request: SignTask, and PanicTask. */
#define IDLE 0
#define QUEUED 1
#define PARKED 2
#define AT_WORKER 3
#define RECORDED 4
#define WOKEN 5 /* Within a step only. */
byte task[2];
byte nonce[2];
bit worker[2];
bit parked_first; /* Of two that are parked. */
#ifdef CALLER
bit queued_first; /* Of two in the lanes. */
#endif
#ifdef PANIC
bool frozen;    /* SwitchDesk: the key. */
byte overtaken; /* Book: what a panic drew last. */
#ifdef OVERTAKEN_SIGNED
#define OVERTAKEN false
#else
#define OVERTAKEN (nonce[0] <= overtaken)
#endif
#endif

/* State's queue and what it posts to the loop: in the order made (state/state.h). */
#define RESERVE 0
#define SETTLE 1
#define FAILED 2
chan jobs = [3] of {byte, byte, byte};    /* kind, up to, epoch */
chan answers = [3] of {byte, byte, byte}; /* kind, first, last */

#ifdef NO_LOCK
/* What a process that lingers still asks of state.db, beside the next one. */
bool lingering;
byte old_last, old_epoch;
#endif

/* What the outside has seen; no process reads these but to judge. */
byte released, drawn;
bool tail_lost; /* Of the log, and nothing was recorded since. */
bool behind;    /* An old state.db was brought back, and nobody has started since. */

#ifndef ANSWERED
#define DRAWN(value) assert(value > drawn); drawn = value
#define LOGGED(value) assert(value > logged); logged = value; tail_lost = false
#define RELEASED(value) assert(value > released); released = value
#else
/* Whether a request is answered does not depend on what earlier ones left behind. */
#define DRAWN(value) skip
#define LOGGED(value) skip
#define RELEASED(value) skip
#endif

/* Scratch of atomic steps; 0 between them. */
byte value, upto, kind, first, last, by;
bool needs, given;

/* NonceDesk::reserve(). */
inline reserve(at_least) {
  assert(nfull(jobs));
  jobs!RESERVE, at_least, epoch
}

/* Book::take() and NonceDesk::take(). */
inline take(t) {
  upto = MIN(value + BLOCK, TOP);
  if
  :: !reserved || value > reserved_last ->
    needs = true;
    if
    :: !asked -> asked = true; reserve(upto)
    :: else
    fi
  :: else ->
    DRAWN(value);
    last_used = value; nonce[t] = value;
#ifdef PANIC
    overtaken = (t == 1 -> value : overtaken);
#endif
    if
    :: !asked && reserved_last - value < (upto - value) / 2 -> asked = true; reserve(upto)
    :: else
    fi
  fi;
  upto = 0
}

/* SignTask::write(): Book::draw() with whatever the clock shows. Not where the caller brings it. */
inline draw(t) {
  select(value : 0 .. CLOCK);
  value = MAX(value, last_used + 1);
  if
  :: value > TOP -> refuse(t)
  :: else ->
    take(t);
    if
    :: needs -> park(t)
    :: else -> dispatch(t)
    fi
  fi;
  value = 0; needs = false
}

/* Signer::enter(): NonceDesk::admit(). Parked tasks come before later ones. */
inline admit(t) {
  value = nonce[t];
  if
  :: value <= last_used -> refuse(t)
  :: else ->
    if
    :: task[1 - t] == PARKED -> needs = true
    :: else -> take(t)
    fi;
    if
    :: needs -> park(t)
    :: else -> queue(t)
    fi
  fi;
  value = 0; needs = false
}

/* Signer::queue(), TokenPool::submit(). */
inline queue(t) {
#ifdef CALLER
  if
  :: task[1 - t] != QUEUED -> queued_first = t
  :: else
  fi;
#endif
  task[t] = QUEUED
}

inline park(t) {
  if
  :: task[1 - t] != PARKED -> parked_first = t
  :: else
  fi;
  task[t] = PARKED
}

inline refuse(t) {
  task[t] = IDLE; nonce[t] = 0; worker[t] = 0
}

/* TokenPool::dispatch(). A key that has frames in a worker stays with it (Lanes, move_key()). */
inline dispatch(t) {
#ifndef NO_PIN
  if
  :: task[1 - t] == AT_WORKER -> worker[t] = worker[1 - t]
  :: else -> worker[t] = 0 /* Or 1: the workers are alike. */
  fi;
#else
  worker[t] = t;
#endif
  task[t] = AT_WORKER
}

inline forget_queues() {
  do
  :: len(answers) > 0 -> answers?_, _, _
  :: else -> break
  od;
  do
  :: len(jobs) > 0 ->
    jobs?kind, last, by;
#ifdef NO_LOCK
    if
    :: kind == SETTLE -> lingering = true; old_last = last; old_epoch = by
    :: else
    fi
#endif
  :: else -> break
  od;
  kind = 0; last = 0; by = 0
}

/* The process is gone, and all that it had in memory; clients see their connections close. */
inline forget() {
  forget_queues();
  refuse(0); refuse(1);
  last_used = 0; reserved_last = 0; reserved = false; asked = false; late = false;
  parked_first = 0; phase = DOWN;
#ifdef CALLER
  queued_first = 0;
#endif
#ifdef PANIC
  overtaken = 0;
#endif
#ifndef NO_LOCK
  floor = 0; mark_epoch = 0 /* Of no epoch that comes. */
#endif
}

/* Signer::sign(), or Panic::run(), and TokenPool::pump() where the signer draws: that a request waits in
 * the lanes before it comes to its draw changes nothing for the mark. While the signer stops new ones
 * are turned away, but old ones wait in the lanes beyond its patience (wait_for_requests()), and
 * Panic::run() does not ask. */
proctype Client(bit me) {
end:
  do
  :: atomic {
      task[me] == IDLE && (phase == UP || phase == SETTLING) ->
#ifdef CALLER
#ifdef PANIC
      if
      :: me == 1 -> frozen = true; queue(me)
      :: me == 0 && frozen -> skip
      :: else ->
#endif
      select(by : 1 .. TOP);
      nonce[me] = by; by = 0;
      admit(me)
#ifdef PANIC
      fi
#endif
#else
      draw(me)
#endif
    }
  od
}

/* TokenPool::pump(). Which of two goes first is the lanes' business (urgency), unless the callers
 * brought the nonces: then in the order in which they were admitted (Job::in_order). */
#if defined(CALLER) && !defined(NO_ORDER)
#define BEHIND(t) (task[1 - t] == QUEUED && queued_first != t)
#else
#define BEHIND(t) false
#endif

proctype Turn(bit me) {
end:
  do
  :: atomic {
      task[me] == QUEUED && !BEHIND(me) && (phase == UP || phase == SETTLING) ->
#ifdef CALLER
      queued_first = 1 - me;
#endif
#if defined(PANIC)
      if
      :: me == 1 -> draw(me) /* PanicTask::write(): NonceDesk::overtake(). */
      /* SignTask::write(): Signer::still_fit(), NonceDesk::not_overtaken(). */
      :: me == 0 && (frozen || OVERTAKEN) -> refuse(me)
      :: else -> dispatch(me)
      fi
#elif defined(CALLER)
      dispatch(me)
#else
      draw(me)
#endif
    }
  od
}

/* A worker answers in order (WorkerLink), or is lost with its frames (TokenPool::worker_lost()). */
#define ITS_TURN(t, w) (phase < LEAVING && task[t] == AT_WORKER && worker[t] == w && \
  !(task[1 - t] == AT_WORKER && worker[1 - t] == w && nonce[1 - t] < nonce[t]))

/* SignTask::record_mac(), Ledger::allow(), Ledger::flush(): one write, then the answer may leave. A
 * write that fails is cut back, and the answer becomes audit_unavailable. */
inline record(t) {
  if
  :: LOGGED(nonce[t]);
    task[t] = RECORDED;
    if
    :: synced = logged
    :: true
    fi
  :: refuse(t)
  fi
}

/* Ledger::release(), in the order recorded. */
#define MAY_LEAVE(t) (task[t] == RECORDED && !(task[1 - t] == RECORDED && nonce[1 - t] < nonce[t]))

inline release(t) {
  RELEASED(nonce[t])
}

proctype Worker(bit me) {
end:
  do
#ifndef RELEASE_FIRST
  :: atomic { ITS_TURN(0, me) -> record(0) }
  :: atomic { ITS_TURN(1, me) -> record(1) }
#else
  :: atomic { ITS_TURN(0, me) -> release(0); task[0] = RECORDED }
  :: atomic { ITS_TURN(1, me) -> release(1); task[1] = RECORDED }
#endif
  :: atomic {
      ITS_TURN(0, me) || ITS_TURN(1, me) ->
      if
      :: task[0] == AT_WORKER && worker[0] == me -> refuse(0)
      :: else
      fi;
      if
      :: task[1] == AT_WORKER && worker[1] == me -> refuse(1)
      :: else
      fi
    }
  od
}

proctype Ledger() {
end:
  do
#ifndef RELEASE_FIRST
  :: atomic { MAY_LEAVE(0) -> release(0); refuse(0) }
  :: atomic { MAY_LEAVE(1) -> release(1); refuse(1) }
#else
  :: atomic { MAY_LEAVE(0) -> record(0); refuse(0) }
  :: atomic { MAY_LEAVE(1) -> record(1); refuse(1) }
#endif
  od
}

#include "nonce_state.pml"
