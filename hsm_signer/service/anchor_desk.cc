#include "hsm_signer/service/anchor_desk.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "hsm_signer/base/log.h"

namespace hsm::service {
namespace {

constexpr std::chrono::seconds kSlow{10};  // Then it is said.
constexpr std::chrono::seconds kLastPatience{3};

// The note in one line: each line end a space, of the empty line only one.
std::string in_one_line(std::string_view note) {
  std::string line;
  for (const char c : note) {
    if (c != '\n') line.push_back(c);
    if (c == '\n' && !line.ends_with(' ')) line.push_back(' ');
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace

AnchorDesk::AnchorDesk(Parts parts, AnchorAtStart start)
    : parts_{std::move(parts)},
      file_{std::move(start.file)},
      trouble_{std::move(start.problem)},
      is_lost_{!trouble_.empty()},
      patience_{parts_.io} {
  if (!file_) return;
  covered_ = file_->size();
  file_->report_to(
      [&io = parts_.io](std::function<void()> work) { boost::asio::post(io, std::move(work)); },
      [this](std::uint64_t size, const Result<void>& result) { written(size, result); });
}

void AnchorDesk::sealed(std::string note, std::uint64_t size) {
  newest_ = Note{.text = std::move(note), .size = size};
  tick();
}

void AnchorDesk::tick() {
  const Clock::Steady now = parts_.clock.steady();
  if (unanswered_since_ && now - *unanswered_since_ >= kSlow)
    complain("it does not answer; the mount may hang");
  if (newest_ && (!sent_at_ || now - *sent_at_ >= parts_.every)) send();
}

void AnchorDesk::send() {
  sent_at_ = parts_.clock.steady();
  Note note = *std::exchange(newest_, std::nullopt);
  // One that is tried again has been said.
  if (note.size > said_) log(Level::info, "anchored", in_one_line(note.text));
  said_ = note.size;
  if (!file_) return;
  file_->write(note.text, note.size);
  sent_ = std::move(note);
  if (!unanswered_since_) unanswered_since_ = sent_at_;
}

void AnchorDesk::written(std::uint64_t size, const Result<void>& result) {
  const bool last = sent_ && sent_->size == size;
  unanswered_since_.reset();
  if (!last) unanswered_since_ = parts_.clock.steady();
  if (!result) {
    complain(result.error().sentence());
    if (last && !newest_) newest_ = std::move(sent_);
  } else {
    covered_ = size;
    parts_.remember(size);
    if (!std::exchange(trouble_, {}).empty()) log(Level::notice, "anchor_works_again");
  }
  if (!last) return;
  sent_.reset();
  if (done_) end();
}

// Once, not each time.
void AnchorDesk::complain(const std::string& why) {
  if (trouble_.empty()) log(Level::warning, "anchor_failed", why);
  trouble_ = why;
}

void AnchorDesk::finish(std::function<void()> done) {
  if (newest_) send();
  if (!sent_) return done();
  done_ = std::move(done);
  patience_.expires_after(kLastPatience);
  patience_.async_wait([this](const boost::system::error_code& error) {
    if (error || !done_) return;
    complain("it does not answer, so the last checkpoint is not in it");
    end();
  });
}

void AnchorDesk::end() {
  patience_.cancel();
  std::exchange(done_, nullptr)();
}

std::string AnchorDesk::status() const {
  if (!trouble_.empty()) return (is_lost_ ? "lost: " : "fails: ") + trouble_;
  return file_ ? "covers " + std::to_string(covered_) + " records" : "none";
}

}  // namespace hsm::service
