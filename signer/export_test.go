// SPDX-License-Identifier: Apache-2.0

package signer

// Projects is how many projects' buckets are kept.
func (s *Service) Projects() int { return s.buckets.recent.Len() }

// Strangers is how many buckets of strangers are kept.
func (s *Service) Strangers() int { return s.strangers.recent.Len() }

// Waiting is how many requests wait for what another one asks of a registry.
func (s *Service) Waiting(image string) int {
	s.resolves.mu.Lock()
	defer s.resolves.mu.Unlock()
	if q := s.resolves.asked[image]; q != nil {
		return q.waiting
	}
	return 0
}

// Queued is how many requests are at work on one and the same, or wait for the
// one that is.
func (s *Service) Queued() int {
	s.inflight.mu.Lock()
	defer s.inflight.mu.Unlock()
	n := 0
	for _, h := range s.inflight.holders {
		n += h.users
	}
	return n
}
