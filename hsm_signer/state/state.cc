#include "hsm_signer/state/state.h"

#include <utility>

namespace hsm::state {

Result<std::unique_ptr<State>> State::open(const std::string& path, Post post) {
  TRY(std::unique_ptr<Store> store, Store::open(path));
  TRY(std::vector<KeyRow> keys, store->keys());
  return std::unique_ptr<State>{new State{std::move(store), std::move(keys), std::move(post)}};
}

State::State(std::unique_ptr<Store> store, std::vector<KeyRow> keys, Post post)
    : store_{std::move(store)},
      keys_at_open_{std::move(keys)},
      post_{std::move(post)},
      thread_{[this] { loop(); }} {}

State::~State() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void State::reserve(std::string scope, Uint128 at_least_last, Done<Reservation> done) {
  run<Reservation>([scope = std::move(scope),
                    at_least_last](Store& store) { return store.reserve(scope, at_least_last); },
                   std::move(done));
}

void State::settle(std::string scope, Uint128 last, std::uint64_t epoch, Done<void> done) {
  run<void>([scope = std::move(scope), last,
             epoch](Store& store) { return store.settle(scope, last, epoch); },
            std::move(done));
}

void State::raise(std::string scope, Uint128 at_least, Done<Uint128> done) {
  run<Uint128>(
      [scope = std::move(scope), at_least](Store& store) { return store.raise(scope, at_least); },
      std::move(done));
}

void State::put_keys(std::vector<KeyRow> rows, Done<void> done) {
  run<void>([rows = std::move(rows)](Store& store) { return store.put_keys(rows); },
            std::move(done));
}

void State::put_note(std::string kind, std::string name, std::string value, Done<void> done) {
  run<void>([kind = std::move(kind), name = std::move(name),
             value = std::move(value)](Store& store) { return store.put_note(kind, name, value); },
            std::move(done));
}

void State::erase_note(std::string kind, std::string name, Done<void> done) {
  run<void>([kind = std::move(kind),
             name = std::move(name)](Store& store) { return store.erase_note(kind, name); },
            std::move(done));
}

void State::notes(std::string kind, Done<std::vector<Note>> done) {
  run<std::vector<Note>>([kind = std::move(kind)](Store& store) { return store.notes(kind); },
                         std::move(done));
}

void State::enqueue(Job job) {
  {
    const std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void State::loop() {
  for (;;) {
    std::unique_lock lock{mutex_};
    wake_.wait(lock, [this] { return !jobs_.empty() || stopping_; });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(*store_);
  }
}

}  // namespace hsm::state
