// Each request is answered by its deadline, wherever it waits just then: for a nonce, in a lane, in
// a worker, for the disk.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/wire/client.h"

namespace hsm::service {

using SignReply = std::function<void(Result<wire::Signed>)>;

class Deadlines {
 public:
  Deadlines(boost::asio::io_context& io, const Clock& clock) : clock_{clock}, timer_{io} {}

  // A reply that passes on what it is given first, and deadline_exceeded where nothing has come
  // until then. Not to be called once the Deadlines are gone.
  SignReply watch(SignReply reply, Clock::Steady deadline);
  std::size_t open() const { return open_.size(); }

 private:
  struct Request;
  using Requests = std::multimap<Clock::Steady, std::shared_ptr<Request>>;
  struct Request {
    SignReply reply;
    Requests::iterator place;
  };

  void answer(Request& request, Result<wire::Signed> answer);
  void arm();
  void sweep();

  const Clock& clock_;
  boost::asio::steady_timer timer_;
  Requests open_;
  std::optional<Clock::Steady> armed_;
};

}  // namespace hsm::service
