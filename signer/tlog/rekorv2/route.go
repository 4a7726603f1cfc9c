// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

// apiPrefix is in front of the write call, and may be in front of what is read.
const apiPrefix = "/api/v2"

// errNoLog says that the deployment has no v2 log.
var errNoLog = errors.New("this deployment has no Rekor v2 log")

// route returns the log that a request is for: the one whose origin is the
// request's host name, whatever the port, and under any other name the first
// one. Trusted roots and signing configurations name logs by host, so a shard
// keeps its name, and a client that was configured for it never gets another.
func (s *Service) route(r *http.Request) (*tlog.Log, error) {
	logs, err := s.cfg.Set.Logs(r.Context(), tlog.V2)
	if err != nil {
		return nil, fmt.Errorf("find log: %w", err)
	}
	if len(logs) == 0 {
		return nil, errNoLog
	}
	host := hostname(r.Host)
	for _, log := range logs {
		if strings.EqualFold(log.Origin(), host) {
			return log, nil
		}
	}
	return logs[0], nil
}

// hostname is a Host header without its port, and without the dot that ends a
// complete domain name.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(host, ".")
}

// serveRead answers everything but the write call.
func (s *Service) serveRead(w http.ResponseWriter, r *http.Request, log *tlog.Log) {
	path, ok := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, apiPrefix), "/")
	if !ok {
		path = "" // nothing of the log's
	}
	if err := tiles.Serve(w, r, log, path); err != nil {
		s.cfg.Logger.WarnContext(r.Context(), "reading the log failed", "log", log.Origin(), "path", path, "error", err)
	}
}
