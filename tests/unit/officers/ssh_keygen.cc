#include "tests/unit/officers/ssh_keygen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "tests/support/child.h"

namespace hsm::officers {
namespace {

std::string content_of(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

// Runs ssh-keygen with its input and output from and to files.
Ended run(std::vector<std::string> arguments, const std::string& input, const std::string& output) {
  arguments.insert(arguments.begin(), "ssh-keygen");
  return in_child([&] {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int in = ::open(input.c_str(), O_RDONLY | O_CLOEXEC);
    const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || ::dup2(in, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0)
      return 126;
    ::execvp(argv[0], argv.data());
    return 127;
  });
}

constexpr const char* kNothing = "/dev/null";

}  // namespace

std::string SshKeygen::file(const std::string& name, std::string_view content) const {
  const std::string path = directory_ / name;
  std::ofstream{path, std::ios::binary} << content;
  return path;
}

std::string SshKeygen::key(const std::string& name, const std::string& type, unsigned bits) {
  const std::string path = directory_ / name;
  std::vector<std::string> arguments{"-q", "-t", type, "-N", "", "-C", "an officer", "-f", path};
  if (bits != 0) arguments.insert(arguments.end(), {"-b", std::to_string(bits)});
  const Ended ended = run(arguments, kNothing, kNothing);
  EXPECT_EQ(ended.status, 0) << "ssh-keygen (package openssh-client): " << ended.said;
  return path;
}

std::string SshKeygen::public_line(const std::string& key) const {
  std::string line = content_of(key + ".pub");
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

std::string SshKeygen::fingerprint(const std::string& public_line) {
  const std::string out = directory_ / "fingerprint";
  const Ended ended =
      run({"-l", "-E", "sha256", "-f", file("shown.pub", public_line + "\n")}, kNothing, out);
  EXPECT_EQ(ended.status, 0) << ended.said;
  std::istringstream words{content_of(out)};
  std::string bits, fingerprint;
  words >> bits >> fingerprint;
  return fingerprint;
}

std::string SshKeygen::sign(const std::string& key, std::string_view text,
                            const std::string& name_space, const std::string& hash) {
  const std::string out = directory_ / "signature";
  const Ended ended =
      run({"-q", "-Y", "sign", "-f", key, "-n", name_space, "-O", "hashalg=" + hash},
          file("text", text), out);
  EXPECT_EQ(ended.status, 0) << ended.said;
  return content_of(out);
}

bool SshKeygen::verifies(const std::string& public_line, std::string_view armored,
                         std::string_view text, const std::string& name_space) {
  const std::string allowed = file("allowed_signers", "officer@desk " + public_line + "\n");
  const Ended ended = run({"-q", "-Y", "verify", "-f", allowed, "-I", "officer@desk", "-n",
                           name_space, "-s", file("armored", armored)},
                          file("text", text), kNothing);
  EXPECT_TRUE(ended.status == 0 || ended.status == 255) << ended.said;
  return ended.status == 0;
}

}  // namespace hsm::officers
