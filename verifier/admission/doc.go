// SPDX-License-Identifier: Apache-2.0

// Package admission answers a Kubernetes API server that asks: may this object's images run here?
//
// An AdmissionReview arrives, and three small steps turn it into an answer:
//
//	AdmissionReview -> Question   which image references does the object add?      (kinds.go, question.go)
//	Question        -> Verdict    every image times every policy, joined by AND    (judge.go)
//	Verdict         -> response   one line per image that a developer can act on   (message.go, webhook.go)
//
// The package translates and joins; it does not verify. Whether the evidence of one image satisfies one policy is package verifier's
// decision, the same one that the command line makes. What this package must get right is that no image and no policy is forgotten:
//
//   - A pod names images in four lists, and other kinds embed a pod. A test walks the Kubernetes types and fails when a release adds a place.
//   - Every ImageTrustPolicy whose prefix covers an image must allow it. An image that none covers is denied, and so is one that an
//     unreadable policy covers: a policy is never skipped because it is broken.
//   - On UPDATE only the references that the same list of the old object already holds are left alone. Nothing else in a request, be it user,
//     owner, label, annotation, replica count or dry-run, shortens the work.
//   - Deny is the zero value. What could not be decided (no policies yet, registry down, deadline, panic) is denied with its own reason.
//
// No verdict is cached and no request changes anything outside memory, so dry runs are answered like real ones.
package admission
