//! The real program over loopback TCP, with each engine that it has.

#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod drain;
mod http;
mod limits;
mod routes;

/// One module for each engine, with one test for each function.
macro_rules! on_every_engine {
    ($($module:ident::$test:ident,)+) => {
        on!(uring: $($module::$test,)+);
        on!(epoll: $($module::$test,)+);
        #[cfg(feature = "glommio")]
        on!(glommio: $($module::$test,)+);
    };
}

macro_rules! on {
    ($engine:ident: $($module:ident::$test:ident,)+) => {
        mod $engine {
            $(
                #[test]
                fn $test() {
                    crate::$module::$test(stringify!($engine));
                }
            )+
        }
    };
}

on_every_engine! {
    corpus::requests_mean_what_the_rfc_says,
    http::every_route_answers,
    http::head_is_get_without_the_body,
    http::what_is_not_there_is_told_apart,
    http::a_pipelined_burst_is_answered_in_order,
    http::requests_may_come_byte_by_byte,
    http::large_bodies_come_back_unchanged,
    http::a_slow_reader_gets_everything_in_order,
    http::expect_continue,
    http::bad_requests_are_refused_and_the_connection_closed,
    http::a_body_that_nobody_wants_does_not_harm_the_next_request,
    http::http_1_0_clients_get_what_they_ask_for,
    http::nothing_is_processed_after_connection_close,
    http::a_half_close_is_no_hang_up,
    http::slow_clients_are_timed_out,
    http::every_address_is_served_and_announced,
    http::a_head_that_is_refused_or_given_up_is_answered_without_content,
    http::a_request_given_up_on_an_idle_shard_is_answered_with_the_date_of_now,
    drain::a_drain_finishes_what_is_under_way,
    drain::a_drain_loses_no_answer_of_busy_connections,
    drain::a_drain_leaves_idle_connections_the_time_asked_for,
    drain::a_second_signal_and_the_drain_timeout_stop_at_once,
    drain::a_closed_stderr_does_not_keep_a_drain_from_its_end,
    drain::a_drain_waits_for_answers_that_take_their_time,
    limits::one_connection_too_many_is_told_so,
    limits::a_connection_has_so_many_requests,
    limits::header_fields_are_counted,
    routes::a_sleep_holds_up_nobody_but_its_own_connection,
    routes::a_sleeper_may_leave_or_be_done,
    routes::long_bodies_are_made_as_they_leave,
    routes::clients_that_do_not_read_cost_a_bounded_amount,
    routes::many_long_answers_all_get_on,
    routes::a_client_that_does_not_read_is_reset,
    routes::uploads_are_counted_and_not_kept,
    routes::a_body_that_comes_in_pieces_finds_its_head_again,
    routes::the_peers_answer_with_the_same_orders,
}
