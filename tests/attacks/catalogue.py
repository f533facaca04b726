"""Where each attack of the catalogue (A1 to A87) that has no test of its own in this folder is."""

from __future__ import annotations

from collections.abc import Mapping

ALL = range(1, 88)

# Shown by these tests, `file::function`, without the whole program or in the same way as another attack.
ELSEWHERE: Mapping[int, tuple[str, ...]] = {
    10: ("tests/sandbox/test_never.py::test_no_code_of_ours_moves_files_through_the_engine_nor_asks_for_privileges",),
    28: ("tests/docker/test_setup.py::test_it_ends_when_it_leaves_more_than_it_may",),
    30: (
        "tests/test_watchdog.py::test_bytes_that_mean_nothing_are_silence",
        "tests/providers/test_over_the_wire.py::test_silence_is_called_silence",
    ),
    32: ("tests/docker/test_setup.py::test_the_agent_has_no_network_and_asks_nobody_for_a_name",),
    34: (
        "tests/docker/test_setup.py::test_there_is_no_way_out_but_the_proxy",
        "tests/docker/test_setup.py::test_the_proxy_refuses_and_tells",
        "tests/docker/test_setup.py::test_a_tunnel_that_is_used_for_something_else_ends",
        "tests/docker/test_setup.py::test_each_denial_is_told_once_and_none_came_to_a_port_that_was_not_allowed",
    ),
    38: ("tests/attacks/test_words.py::test_a53_no_link_image_comment_or_html_of_a_model_is_one",),
    62: (
        "tests/repo/test_policy.py::test_as_many_files_as_the_limit_pass_and_one_more_does_not",
        "tests/repo/test_policy.py::test_as_many_lines_as_the_limit_pass_and_one_more_does_not",
        "tests/repo/test_policy.py::test_a_blob_as_large_as_the_limit_passes_and_one_byte_more_does_not",
    ),
    83: (
        "tests/docker/test_image.py::test_no_file_gives_rights_and_only_temporary_folders_are_open",
        "tests/docker/test_image.py::test_the_agent_may_write_to_its_own_and_temporary_folders_only",
    ),
    85: (
        "tests/docker/test_setup.py::test_nothing_of_the_hosts_environment_is_in_there",
        "tests/docker/test_setup.py::test_it_is_shared_with_no_other_repository_no_other_command_and_no_other_registry",
    ),
}  # fmt: skip

# Shown by no test yet, and why.
WAITING: Mapping[int, str] = {
    60: "it is the workflows' own matter: docs/github.md says what a push with one's own token starts",
    87: "nothing is released yet",
}
