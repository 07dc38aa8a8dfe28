// state.db behind asynchronous seams: a commit takes 150 µs and up, so never on the caller's
// thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hsm_signer/base/result.h"
#include "hsm_signer/state/store.h"

namespace hsm::state {

// Runs a function on the caller's thread, later; called from the state's thread.
using Post = std::function<void(std::function<void()>)>;

// Calls run one after the other in the order made, each durable before its callback. Callbacks come
// through Post, in the same order, each exactly once, errors included.
class State {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  // Blocks: opens the store (store.h says what is refused) and reads the key rows.
  static Result<std::unique_ptr<State>> open(const std::string& path, Post post);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  // Finishes what was asked for and joins. Callbacks of these are posted before it returns; whether
  // they still run is the loop's business.
  ~State();

  // As they were at open().
  const std::vector<KeyRow>& keys_at_open() const { return keys_at_open_; }

  // These mean what Store's of the same name mean.
  void reserve(std::string scope, Uint128 at_least_last, Done<Reservation> done);
  void settle(std::string scope, Uint128 last, std::uint64_t epoch, Done<void> done);
  void raise(std::string scope, Uint128 at_least, Done<Uint128> done);
  void put_keys(std::vector<KeyRow> rows, Done<void> done);
  void put_note(std::string kind, std::string name, std::string value, Done<void> done);
  void erase_note(std::string kind, std::string name, Done<void> done);
  void notes(std::string kind, Done<std::vector<Note>> done);

  // Anything else on the state's thread. `work` may use nothing of the caller's.
  template <class T>
  void run(std::function<Result<T>(Store&)> work, Done<T> done) {
    enqueue([this, work = std::move(work), done = std::move(done)](Store& store) {
      answer<T>(done, work(store));
    });
  }

 private:
  using Job = std::function<void(Store&)>;

  State(std::unique_ptr<Store> store, std::vector<KeyRow> keys, Post post);
  void enqueue(Job job);
  void loop();
  template <class T>
  void answer(const Done<T>& done, Result<T> result) {
    if (!done) return;
    post_([done, result = std::move(result)]() mutable { done(std::move(result)); });
  }

  const std::unique_ptr<Store> store_;  // The thread's alone.
  const std::vector<KeyRow> keys_at_open_;
  const Post post_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hsm::state
