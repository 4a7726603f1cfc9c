// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// List is one of the four lists of a pod spec that name images.
type List string

// The lists, in the words that messages use.
const (
	Containers          List = "container"
	InitContainers      List = "init container"
	EphemeralContainers List = "ephemeral container"
	ImageVolumes        List = "image volume"
)

// Position is one place in an object that names an image. Reference is the text as written: hostile until it is parsed, so always quoted.
type Position struct {
	List      List
	Name      string
	Reference string
}

// String names the position in messages, for example `container "app"`.
func (p Position) String() string { return fmt.Sprintf("%s %q", p.List, p.Name) }

// Question is what one admission request asks: may these images run in this namespace?
type Question struct {
	Namespace string
	Object    string     // kind and name, for messages and logs
	Judge     []Position // what the request adds, each to be judged
	Unchanged int        // positions left alone, because the same list of the old object holds the same reference
	StaticPod bool       // a node shows a pod that it already runs: the verdict is recorded, but refusing stops nothing
}

// Ask reads an admission request. It returns ErrUnreadable, wrapped, for anything that it does not understand completely.
func Ask(req *admissionv1.AdmissionRequest) (Question, error) {
	question := Question{Namespace: req.Namespace, Object: fmt.Sprintf("%s %q", req.Kind.Kind, req.Name)}
	switch req.Operation {
	case admissionv1.Delete:
		return question, nil // starts nothing
	case admissionv1.Create, admissionv1.Update:
	default:
		return Question{}, fmt.Errorf("%w: operation %q is not one this webhook is asked about", ErrUnreadable, req.Operation)
	}
	k, err := kindOf(req.Kind)
	if err != nil {
		return Question{}, err
	}
	spec, meta, err := k.read(req.Object.Raw)
	if err != nil {
		return Question{}, err
	}
	all := positions(spec)
	if len(all) == 0 {
		return Question{}, fmt.Errorf("%w: %s has no containers at %s", ErrUnreadable, req.Kind.Kind, k.path)
	}
	var old []Position
	if req.Operation == admissionv1.Update {
		if old, err = oldPositions(k, req.OldObject.Raw); err != nil {
			return Question{}, err
		}
	}
	named := withoutOpenPlaces(k, all)
	question.Judge = added(named, old)
	question.Unchanged = len(named) - len(question.Judge)
	question.StaticPod = isStaticPod(req, k, spec, meta)
	return question, nil
}

func oldPositions(k kind, raw []byte) ([]Position, error) {
	spec, _, err := k.read(raw)
	if err != nil {
		return nil, fmt.Errorf("old object: %w", err)
	}
	return positions(spec), nil
}

// positions lists every place of a pod spec that names an image, empty references included.
func positions(spec *corev1.PodSpec) []Position {
	all := make([]Position, 0, len(spec.Containers)+len(spec.InitContainers)+len(spec.EphemeralContainers))
	for i := range spec.Containers {
		all = append(all, Position{Containers, spec.Containers[i].Name, spec.Containers[i].Image})
	}
	for i := range spec.InitContainers {
		all = append(all, Position{InitContainers, spec.InitContainers[i].Name, spec.InitContainers[i].Image})
	}
	for i := range spec.EphemeralContainers {
		all = append(all, Position{EphemeralContainers, spec.EphemeralContainers[i].Name, spec.EphemeralContainers[i].Image})
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			all = append(all, Position{ImageVolumes, spec.Volumes[i].Name, image.Reference})
		}
	}
	return all
}

// withoutOpenPlaces drops empty references from templates, where the API allows them for other tools to fill in: no pod can be made of them
// as they are. In a pod an empty reference stays, and is denied.
func withoutOpenPlaces(k kind, all []Position) []Position {
	if k.gvk.Kind == "Pod" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(p Position) bool { return p.Reference == "" })
}

// added returns the positions whose reference the same list of the old object does not hold. Only equal text counts, which for a readable
// reference is equality of the canonical form, as references that do not round-trip are denied. The list counts too: a file system that was
// mounted is not for that reason a program that may run.
func added(now, old []Position) []Position {
	type held struct {
		list      List
		reference string
	}
	known := make(map[held]bool, len(old))
	for _, p := range old {
		known[held{p.List, p.Reference}] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(p Position) bool { return known[held{p.List, p.Reference}] })
}

// Names that the kubelet and the node authorizer use.
const (
	nodesGroup     = "system:nodes"
	nodeUserPrefix = "system:node:"
)

// isStaticPod reports whether a node reflects a pod that it runs from a local file. Such a pod runs whatever the answer is, and refusing it
// only hides it. The annotation proves nothing by itself: it counts from the node's own identity, about that same node, which is also what
// the NodeRestriction admission plugin confines nodes to.
func isStaticPod(req *admissionv1.AdmissionRequest, k kind, spec *corev1.PodSpec, meta *metav1.ObjectMeta) bool {
	_, mirror := meta.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror && k.gvk.Kind == "Pod" && req.SubResource == "" && req.Operation == admissionv1.Create &&
		spec.NodeName != "" && isNode(req.UserInfo, spec.NodeName)
}

func isNode(user authenticationv1.UserInfo, node string) bool {
	return user.Username == nodeUserPrefix+node && slices.Contains(user.Groups, nodesGroup)
}
