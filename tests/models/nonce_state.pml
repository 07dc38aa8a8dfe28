/* State's thread, its answers, the daemon's course and the world; included by nonce.pml. */

/* Store::settle(). Refused: another run's. */
inline give_back(from_epoch, up_to) {
  if
#ifdef NO_EPOCH
  :: up_to <= mark -> mark = MAX(up_to, floor)
#else
  :: from_epoch == mark_epoch && up_to <= mark -> mark = MAX(up_to, floor)
#endif
  :: true /* Refused, or failed. */
  fi
}

/* Store::reserve() and Store::settle(): one transaction each. A failed one changed nothing, or was on
 * disk when the error came. */
proctype StateThread() {
  byte unwritten;
end:
  do
  :: atomic {
      nempty(jobs) && unwritten == 0 ->
      jobs?kind, last, by;
      if
      :: kind == SETTLE ->
        give_back(by, last);
        answers!SETTLE, 0, 0
      :: else ->
        first = mark + 1;
        if
        :: true ->
          if
          :: mark_epoch != epoch -> floor = mark
          :: else
          fi;
          mark_epoch = epoch;
          behind = false;
#ifdef MARK_LOWERED
          mark = last;
#elif defined(NO_DURABLE_WRITE)
          unwritten = MAX(mark, last);
#else
          mark = MAX(mark, last);
#endif
          if
          :: answers!RESERVE, first, MAX(last, first - 1)
          :: answers!FAILED, 0, 0
          fi
        :: answers!FAILED, 0, 0
        fi
      fi;
      kind = 0; last = 0; by = 0; first = 0
    }
#ifdef NO_LOCK
  :: atomic {
      lingering ->
      give_back(old_epoch, old_last);
      lingering = false; old_last = 0; old_epoch = 0
    }
#endif
#ifdef NO_DURABLE_WRITE
  :: atomic {
      unwritten != 0 ->
      if
      :: phase != DOWN -> mark = unwritten
      :: else /* Killed before the write. */
      fi;
      unwritten = 0
    }
#endif
  od
}

/* Book::install(). */
inline install() {
  given = asked && !late;
  if
  :: late -> late = false
  :: else -> asked = false
  fi;
#ifdef SETTLE_THEN_USE
  given = true;
#endif
  if
  :: given ->
    if
    :: !(reserved && first - 1 <= reserved_last) ->
#ifndef NO_SKIP
      last_used = MAX(last_used, first - 1);
#endif
      reserved_last = last
    :: else
    fi;
    reserved_last = MAX(reserved_last, last);
    reserved = true
  :: else
  fi
}

/* Book::reserve_failed(). */
inline reserve_failed() {
  given = false;
#ifndef FAILED_STAYS_ASKED
  if
  :: late -> late = false
  :: else -> asked = false
  fi
#endif
}

/* SignTask::parked() and Signer::enter(): what each of those does who waited. */
inline resume(t) {
  if
  :: task[t] == WOKEN ->
    task[t] = IDLE;
    if
    :: !given -> refuse(t)
#ifdef PANIC
    :: given && t == 1 -> queue(t)
#endif
#ifdef CALLER
    :: else -> admit(t)
#else
    :: else -> queue(t)
#endif
    fi
  :: else
  fi
}

/* All of the old queue are out of it before the first resumes: those who park again stand in a new
 * one. */
inline wake() {
  by = (task[0] == PARKED && task[1] == PARKED -> parked_first : 0);
  parked_first = 0;
  task[0] = (task[0] == PARKED -> WOKEN : task[0]);
  task[1] = (task[1] == PARKED -> WOKEN : task[1]);
  if
  :: by == 0 -> resume(0); resume(1)
  :: else -> resume(1); resume(0)
  fi
}

/* What State posted: NonceDesk::reserved(), and what NonceDesk::settle() waits for. */
proctype Answers() {
end:
  do
  :: atomic {
      nempty(answers) ->
      answers?kind, first, last;
      if
      :: kind == SETTLE -> phase = LEAVING
      :: else ->
        if
        :: kind == RESERVE -> install()
        :: else -> reserve_failed()
        fi;
#ifdef WAITERS_FORGOTTEN
        if
        :: given -> wake()
        :: else
        fi
#else
        wake()
#endif
      fi;
      kind = 0; first = 0; last = 0; by = 0; given = false
    }
  od
}

/* The daemon's own course, mains/signerd.cc. */
proctype Daemon() {
end:
  do
  :: atomic {
      /* Store::open(), Log::open() (which syncs what an earlier run left in the kernel),
       * Past::replay(), NonceDesk::open(). */
#ifdef NO_LOCK
      phase == DOWN && epoch < 4 ->
      epoch++;
#else
      phase == DOWN ->
#endif
      synced = logged;
      behind = false;
#ifndef NO_LOG_MARKS
      last_used = logged;
#ifndef MARKS_UNTOLD
      /* check_sealed(), raise_marks(). */
      mark = MAX(mark, logged);
      floor = MAX(floor, logged);
#endif
#endif
      phase = UP
    }
  /* take_leave(), ~State(): what was asked for is carried out before the process ends. */
  :: atomic { phase == LEAVING && empty(jobs) -> forget() }
  od
}

/* Nothing of it has to happen: where fairness wants a step of this process, `quiet` is one. */
proctype World() {
#ifdef ANSWERED
  bool quiet;
#endif
end:
  do
#ifdef ANSWERED
  :: quiet = !quiet
#endif
  :: atomic {
      /* drain(), finish(), say_goodbye(): nothing is unfinished, or the patience is over. Then
       * NonceDesk::settle(), Book::settle(). */
      phase == UP ->
#ifndef LATE_ANSWER_TAKEN
      late = asked;
#endif
      asked = false;
      if
      :: reserved ->
#ifndef BLOCK_KEPT
        reserved = false;
#endif
        assert(nfull(jobs));
        jobs!SETTLE, last_used, epoch;
        phase = SETTLING
      :: else -> phase = LEAVING
      fi
    }
#ifdef PANIC
  :: atomic { frozen -> frozen = false }
#endif
  :: atomic { phase != DOWN -> forget() }
#ifndef ANSWERED
  /* A power cut; one that loses nothing is a kill. */
  :: atomic { phase != DOWN && synced < logged -> forget(); tail_lost = true; logged = synced }
  /* The log is given up, and a new one begins (--audit-lost): the state alone has the mark. */
  :: atomic { phase == DOWN && logged > 0 && !behind -> logged = 0; synced = 0; tail_lost = true }
  /* An older state.db, beside a log whose tail is there. It may have any mark that state.db had; any
   * lower number will do here. */
  :: atomic {
#ifndef LOSE_BOTH
      !tail_lost &&
#endif
      phase == DOWN && mark > 0 ->
      behind = true;
      select(by : 0 .. (mark - 1));
      mark = by; by = 0; floor = 0; mark_epoch = 0;
      drawn = logged
    }
#endif
  od
}

init {
  atomic {
    run Client(0); run Client(1); run Turn(0); run Turn(1); run Worker(0); run Worker(1);
    run Ledger(); run StateThread(); run Answers(); run Daemon(); run World()
  }
}

#ifdef ANSWERED
ltl answered { [] (task[ANSWERED] != IDLE -> <> (task[ANSWERED] == IDLE)) }
#endif
