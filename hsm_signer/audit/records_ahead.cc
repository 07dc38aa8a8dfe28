#include "hsm_signer/audit/records_ahead.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "hsm_signer/audit/merkle.h"

namespace hsm::audit {
namespace {

// Long beside what it costs to wake a thread; the blocks under way lie in the cores' own caches.
constexpr std::size_t kBlockBytes = 256U << 10U;

std::size_t cores() { return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8); }

}  // namespace

// Threads that do what they are given, the first first.
class RecordsAhead::Team {
 public:
  // Fewer where the machine has no more to give; then perhaps none.
  explicit Team(std::size_t most) {
    try {
      while (threads_.size() < most) threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
    }
  }
  // What nobody has begun is left undone.
  ~Team() {
    {
      const std::lock_guard lock{mutex_};
      over_ = true;
    }
    given_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  void give(std::packaged_task<void()> work) {
    if (threads_.empty()) return work();
    {
      const std::lock_guard lock{mutex_};
      works_.push_back(std::move(work));
    }
    given_.notify_one();
  }

 private:
  void run() {
    for (std::unique_lock lock{mutex_};;) {
      given_.wait(lock, [this] { return over_ || !works_.empty(); });
      if (over_) return;
      std::packaged_task<void()> work = std::move(works_.front());
      works_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<std::packaged_task<void()>> works_;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

RecordsAhead::RecordsAhead(SegmentReader lines, Helpers helpers)
    : lines_{std::move(lines)},
      helpers_{helpers == Helpers::none ? 0 : cores()},
      file_{lines_.file()} {
  blocks_.emplace_back();
  read_ahead();
}

RecordsAhead::~RecordsAhead() = default;

void RecordsAhead::parse(Block& block) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < block.places.size(); ++i) {
    const std::size_t end = block.places[i].end;
    const auto line = std::string_view{block.text}.substr(begin, end - begin);
    block.reads[i].leaf = leaf_hash(line);
    block.reads[i].parsed = parse_line(line, block.reads[i].record);
    begin = end;
  }
}

void RecordsAhead::fill(Block& block) {
  block.text.clear();
  block.places.clear();
  while (block.text.size() < kBlockBytes && !end_) {
    const auto line = lines_.next();
    if (!line) {
      end_ = fail(line.error());
    } else if (!*line) {
      end_ = Result<void>{};
    } else {
      block.text.append((*line)->text);
      block.places.push_back({block.text.size(), (*line)->file, (*line)->line});
    }
  }
  if (block.reads.size() < block.places.size()) block.reads.resize(block.places.size());
}

void RecordsAhead::read_ahead() {
  while (!end_ && blocks_.size() <= std::max<std::size_t>(helpers_, 1)) {
    Block& block = blocks_.emplace_back(std::move(spare_));  // Where it stays until it is done.
    spare_ = {};
    fill(block);
    std::packaged_task<void()> work{[&block] { parse(block); }};
    block.done = work.get_future();
    if (helpers_ == 0 || (end_ && !team_)) {  // All of it in one block: no work for others.
      work();
    } else {
      if (!team_) team_ = std::make_unique<Team>(helpers_);
      team_->give(std::move(work));
    }
  }
}

Result<const RecordsAhead::Read*> RecordsAhead::next() {
  while (given_ == blocks_.front().places.size()) {
    if (blocks_.size() == 1) {
      file_ = lines_.file();
      line_ = lines_.line();
      if (!*end_) return fail(end_->error());
      return nullptr;
    }
    spare_ = std::move(blocks_.front());
    blocks_.pop_front();
    given_ = 0;
    read_ahead();
    blocks_.front().done.get();
  }
  const Block& block = blocks_.front();
  file_ = block.places[given_].file;
  line_ = block.places[given_].line;
  return &block.reads[given_++];
}

}  // namespace hsm::audit
