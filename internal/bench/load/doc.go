// SPDX-License-Identifier: Apache-2.0

// Package load sends log entries as CI jobs do, faster than any of them, and
// judges the answers.
//
// A Maker makes signed requests of every kind that stock clients send, before
// the clock runs: each has a key and a Fulcio-profile certificate of its own,
// like every signature of the service, so that it costs the log what a real one
// does, index rows included.
//
// Closed and Open send them over raw keep-alive connections. net/http's client
// takes several times the processor time of the handful of system calls that
// are needed, and the load generator shares its cores with what it measures. A
// closed loop sends the next request when the last one is answered: it finds
// the most a server can take. An open loop sends at moments fixed beforehand,
// and a latency counts from the planned moment: a server that stalls cannot
// hide it by keeping its clients from asking.
//
// Trust verifies an answer completely, as a client that keeps the entry would.
package load
