"""TeacherPredictions: the soft targets of a distillation."""
