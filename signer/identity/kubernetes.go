// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"regexp"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
)

const kubernetesName = "kubernetes"

// kubernetesMaxAge is an hour because a projected token is shared by
// everything in its pod and lives that long by default; the kubelet replaces
// it at 80 % of its life, so a healthy pod presents tokens of up to 48 minutes.
// Pods that project with expirationSeconds: 600 allow a source a lower maxAge.
const kubernetesMaxAge = time.Hour

// kubernetes reads service account tokens, as Tekton, Argo Workflows and
// runners inside a cluster have them. Claims: kubernetes.io, "Managing Service
// Accounts".
//
// The run is the pod: anybody who may create serviceaccounts/token can have a
// token without one, so a token that is not bound to a pod is refused. The
// token cannot show that the pod still exists: with TokenReview the cluster is
// asked (tokenreview.go). A person with that right can name somebody's running
// pod; RBAC on the verb is the other half of the rule. Legacy secret-based
// tokens have neither exp nor pod.
func kubernetes() provider {
	return provider{
		name:       kubernetesName,
		algorithms: []string{"RS256", "ES256"},
		maxAge:     kubernetesMaxAge,
		// Fulcio's base; clusters share it unless configured apart.
		defaultURL: func(string) string { return "https://kubernetes.io" },
		read:       readKubernetes,
		settings:   func(s *Source) error { return s.completeTokenReview() },
		confirm:    reviewToken,
	}
}

// Names as RFC 1123 allows them: a label, and labels joined by dots.
var (
	labelForm     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	subdomainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

func readKubernetes(r *reader, s Source) run {
	sub := r.text("sub", required)
	bound := r.object("kubernetes.io", required)
	namespace := bound.matching("namespace", required, labelForm, "a namespace")
	account := bound.object("serviceaccount", required)
	name := account.matching("name", required, subdomainForm, "a service account")
	account.matching("uid", required, uidForm, "a uid")
	pod := bound.object("pod", required)
	pod.matching("name", required, subdomainForm, "a pod")
	uid := pod.matching("uid", required, uidForm, "a uid")
	if node := bound.object("node", optional); node.claims != nil {
		node.text("name", required)
		node.matching("uid", optional, uidForm, "a uid")
	}
	bound.number("warnafter", optional)

	if r.err() == nil && sub != "system:serviceaccount:"+namespace+":"+name {
		r.fail(ReasonContradiction, "sub %.200q is not service account %s of namespace %s", sub, name, namespace)
	}
	return run{
		id:         "pod:" + uid,
		san:        r.uri(s.URL, "namespaces/"+namespace+"/serviceaccounts/"+name),
		extensions: certificate.Extensions{}, // Fulcio maps issuer and subject only
	}
}
