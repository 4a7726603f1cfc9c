// SPDX-License-Identifier: Apache-2.0

package signer

// Projects is how many projects' buckets are kept.
func (s *Service) Projects() int { return s.buckets.recent.Len() }
