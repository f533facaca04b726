"""Every fault of the design's catalogue (R1 to R51), and the tests that stage it. `test_catalogue.py` looks whether they exist."""

from __future__ import annotations

from collections.abc import Mapping

_S, _C = "tests/faults/test_signals.py", "tests/faults/test_containers.py"
_P, _E = "tests/faults/test_engine_proxy.py", "tests/faults/soak_second_engine.py"
_ST, _O = "tests/faults/test_state.py", "tests/faults/test_output.py"
_CL = "tests/faults/test_clock.py"
_LONG, _LOAD = "tests/faults/soak_long.py", "tests/faults/soak_load.py"
_SIGNALS = (
    f"{_S}::test_a_signal_ends_a_run_in_order_and_the_next_one_succeeds",
    f"{_LONG}::test_every_signal_at_every_phase",
)

HERE: Mapping[str, tuple[str, ...]] = {
    "R1": _SIGNALS,
    "R2": _SIGNALS,
    "R3": _SIGNALS,
    "R4": (*_SIGNALS, f"{_LOAD}::test_fifty_runs_one_after_the_other_with_every_fifth_killed"),
    "R5": (
        *_SIGNALS,
        f"{_O}::test_a_terminal_that_is_closed_ends_the_run_in_order",
        f"{_O}::test_a_run_whose_lines_nobody_takes_comes_to_its_end",
    ),
    "R6": (
        f"{_C}::test_a_machine_that_slept_beyond_the_deadline_finds_the_sandbox_lost",
        f"{_LONG}::test_a_frozen_container_ends_with_the_commands_time",
    ),
    "R8": (f"{_O}::test_an_engine_that_is_not_there_is_one_sentence",),
    "R9": (
        f"{_E}::test_an_engine_that_ends_while_a_command_runs_is_a_lost_sandbox",
        f"{_LONG}::test_an_engine_that_ends_at_any_phase",
    ),
    "R10": (
        f"{_E}::test_an_engine_that_ends_while_a_command_runs_is_a_lost_sandbox",
        f"{_LONG}::test_an_engine_that_comes_again_at_once",
    ),
    "R11": (f"{_LONG}::test_an_engine_that_keeps_its_containers",),
    "R12": (
        f"{_C}::test_a_container_that_is_lost_ends_the_run_as_such_where_it_is_still_needed",
        f"{_LONG}::test_a_container_that_is_lost_at_any_phase",
    ),
    "R13": (
        f"{_C}::test_a_container_that_is_lost_ends_the_run_as_such_where_it_is_still_needed",
        f"{_LONG}::test_a_container_that_is_lost_at_any_phase",
    ),
    "R14": (f"{_P}::test_an_engine_that_fails_before_the_work_leaves_nothing",),
    "R16": (
        f"{_P}::test_an_engine_that_fails_at_a_command_ends_the_run_with_the_work_and_the_next_one_succeeds",
        f"{_LONG}::test_an_engine_that_says_nothing_is_not_waited_for_without_end",
    ),
    "R17": (
        f"{_P}::test_an_answer_in_crumbs_is_an_answer",
        f"{_P}::test_an_engine_that_fails_at_a_command_ends_the_run_with_the_work_and_the_next_one_succeeds",
    ),
    "R18": (f"{_E}::test_a_full_disk_of_the_engine_is_said_and_the_next_run_has_room",),
    "R19": (
        f"{_ST}::test_a_folder_that_cannot_be_written_is_a_sentence_before_anything_is_done",
        f"{_ST}::test_a_cache_without_room_ends_the_run_before_the_agent_and_leaves_no_half_of_a_mirror",
        f"{_ST}::test_a_state_folder_without_room_is_a_sentence_before_anything_is_done",
        f"{_ST}::test_a_disk_that_fills_up_in_the_middle_keeps_the_work_of_the_turn_before",
    ),
    "R20": (
        f"{_ST}::test_a_mirror_that_was_cut_off_is_made_anew_whatever_locks_lie_in_it",
        f"{_ST}::test_locks_of_a_fetch_that_was_killed_are_in_nobodys_way",
    ),
    "R21": (f"{_LOAD}::test_eight_runs_at_once",),
    "R47": (f"{_CL}::test_nothing_that_is_waited_for_is_measured_by_the_wall_clock",),
    "R48": (
        f"{_P}::test_a_container_that_cannot_be_removed_changes_nothing_but_is_said_and_goes_with_the_next_run",
        f"{_LONG}::test_an_engine_that_ends_at_any_phase",
    ),
    "R49": (
        f"{_O}::test_a_run_whose_lines_nobody_takes_comes_to_its_end",
        f"{_O}::test_a_result_that_cannot_be_written_is_said_elsewhere",
        f"{_O}::test_lines_are_utf8_whatever_the_language",
        f"{_O}::test_a_narrow_terminal_gets_what_it_understands",
    ),
    "R51": (
        f"{_ST}::test_a_history_of_the_first_version_is_brought_up_to_date_and_kept",
        f"{_ST}::test_a_history_of_a_newer_version_is_left_alone_and_the_run_goes_on",
    ),
}

_PR, _PUSH, _REMOTE = "tests/docker/test_pull_request.py", "tests/repo/test_push.py", "tests/repo/test_remote.py"  # fmt: skip
_GH, _CLIENT, _ERRORS = "tests/forges/test_github.py", "tests/forges/test_github_client.py", "tests/forges/test_github_errors.py"  # fmt: skip
_PUB, _WIRE, _CHAIN = "tests/test_publishing.py", "tests/providers/test_over_the_wire.py", "tests/providers/test_chain.py"  # fmt: skip
_LOOP, _REP = "tests/agent/test_loop.py", "tests/agent/test_repetition.py"

ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "R15": (
        "tests/docker/test_hostile.py::test_a_command_that_ignores_the_end_of_its_time_is_ended",
        "tests/docker/test_sandbox.py::test_a_call_that_does_not_end_is_swept_with_what_a_command_left",
    ),
    "R22": (
        f"{_REMOTE}::test_a_connection_that_breaks_while_reading_is_waited_out",
        f"{_REMOTE}::test_a_fetch_that_stalls_is_ended_and_made_again",
        f"{_REMOTE}::test_a_server_that_is_down_is_no_denial",
    ),
    "R23": (f"{_PR}::test_a_token_that_is_refused_ends_the_run_before_the_agent",),
    "R24": (
        f"{_PR}::test_a_token_that_may_only_read_ends_the_run_before_the_agent",
        f"{_ERRORS}::test_status_headers_and_body_decide_together",
    ),
    "R25": (
        f"{_CLIENT}::test_a_failure_that_may_pass_is_waited_for",
        f"{_ERRORS}::test_how_long_to_wait_is_read_from_the_headers",
    ),
    "R26": (
        f"{_CLIENT}::test_a_failure_that_may_pass_is_waited_for",
        f"{_CLIENT}::test_what_does_not_pass_ends_after_five_tries_or_five_minutes_or_at_once",
    ),
    "R27": (
        f"{_PR}::test_a_renamed_repository_is_pushed_to_by_its_new_name",
        f"{_PR}::test_what_cannot_be_pushed_to_is_found_before_the_agent",
        f"{_GH}::test_no_redirect_leads_the_token_anywhere_else",
    ),
    "R28": (f"{_GH}::test_one_that_is_open_already_is_the_answer",),
    "R29": (
        f"{_GH}::test_what_github_will_not_open_is_told_once_and_for_good",
        f"{_ERRORS}::test_each_failure_is_a_sentence_with_a_way_out",
    ),
    "R30": (
        f"{_PR}::test_a_pull_request_that_was_opened_without_an_answer_is_found_and_never_doubled",
        f"{_GH}::test_where_it_is_not_known_whether_it_was_opened_it_is_looked_for_and_not_opened_again",
    ),
    "R31": (f"{_PUSH}::test_a_large_push_that_is_cut_while_uploading_is_made_again",),
    "R32": (
        f"{_PUSH}::test_a_push_whose_answer_was_lost_is_a_success",
        f"{_PR}::test_a_push_whose_answer_was_lost_counts",
    ),
    "R33": (
        f"{_PUSH}::test_a_branch_that_appears_while_we_push_is_not_overwritten",
        f"{_PR}::test_a_name_that_somebody_takes_meanwhile_is_left_to_them",
    ),
    "R34": (
        f"{_PUSH}::test_a_refusal_is_told_in_the_servers_words_and_not_tried_again",
        f"{_PR}::test_a_rule_of_the_repository_keeps_the_change_as_a_patch",
    ),
    "R35": (f"{_PUSH}::test_that_the_base_branch_has_moved_on_is_no_obstacle",),
    "R36": (f"{_PUSH}::test_a_remote_that_has_lost_the_base_refuses_and_the_hint_says_why",),
    "R37": (
        f"{_PUSH}::test_a_token_that_expired_meanwhile_is_refused",
        f"{_PUB}::test_a_pull_request_that_fails_leaves_the_branch_its_words_and_one_command",
    ),
    "R38": (
        f"{_WIRE}::test_the_server_says_when_to_come_back",
        f"{_CHAIN}::test_a_provider_that_says_when_is_waited_for_that_long",
    ),
    "R39": (f"{_WIRE}::test_whatever_goes_wrong_has_one_outcome",),
    "R40": (
        f"{_CHAIN}::test_the_fifth_failure_is_the_last_and_is_no_longer_called_busy",
        f"{_CHAIN}::test_all_waits_together_have_a_bound",
    ),
    "R41": (
        f"{_WIRE}::test_whatever_goes_wrong_has_one_outcome",
        f"{_CHAIN}::test_what_another_try_cannot_mend_is_not_tried_again",
        f"{_CHAIN}::test_a_conversation_that_is_too_long_is_nobodys_failure",
    ),
    "R42": (
        f"{_WIRE}::test_where_nobody_listens_another_try_may_help",
        "tests/providers/test_openai_errors.py::test_a_certificate_that_does_not_hold_is_told",
    ),
    "R43": (
        f"{_WIRE}::test_whatever_goes_wrong_has_one_outcome",
        f"{_LOOP}::test_tools_are_run_only_if_the_answer_is_whole",
    ),
    "R44": (
        f"{_WIRE}::test_whatever_goes_wrong_has_one_outcome",
        f"{_LOOP}::test_what_cannot_be_run_is_answered_and_the_work_goes_on",
    ),
    "R45": (
        f"{_LOOP}::test_every_reason_to_stop_has_its_outcome_for_words",
        "tests/test_delivery.py::test_a_refusal_leaves_no_branch_and_keeps_the_patch",
    ),
    "R46": (f"{_REP}::test_the_same_call_is_told_of_the_third_time_and_ended_the_fifth",),
    "R50": ("tests/providers/test_claude.py::test_it_is_asked_once_and_not_again_by_itself",),
}

NOT_STAGED: Mapping[str, str] = {
    "R7": "the machine would have to start anew. What a reboot leaves is what SIGKILL of the run (R4) and of the "
    "engine (R10) leave, as who lives is a lock of the kernel's and no process number.",
}
