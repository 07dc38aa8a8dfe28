// hsm-signerctl: administration, offline ceremonies, requests from the command line.
#include <csignal>
#include <exception>
#include <iostream>

#include "hsm_signer/base/log.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/result.h"
#include "hsm_signer/ctl/command_line.h"

int main(int argc, char** argv) {
  hsm::set_log_name("hsm-signerctl");
  std::signal(SIGPIPE, SIG_IGN);
  // The next descriptor opened would take its place: a signed answer once went into a socket.
  if (!hsm::standard_descriptors_are_open()) {
    std::cerr
        << "hsm-signerctl: standard input, output or error is closed; give it /dev/null [usage]\n";
    return hsm::exit_status(hsm::Code::usage);
  }
  try {
    const int status = hsm::ctl::run(argc, argv, std::cout, std::cerr);
    // What was asked for has happened and nobody can read it: a script must not take that for
    // success.
    if (std::cout.flush() || status != 0) return status;
    std::cerr << "hsm-signerctl: the answer could not be written to standard output [internal]\n";
    return hsm::exit_status(hsm::Code::internal);
  } catch (const std::exception& error) {
    // A rim: only bugs and exhausted memory come here.
    std::cerr << "hsm-signerctl: " << error.what() << " [internal]\n";
    return hsm::exit_status(hsm::Code::internal);
  }
}
