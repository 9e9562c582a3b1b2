"""Evaluator: is the new model good enough, and better than the one that serves?"""
